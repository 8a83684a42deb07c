"""Gather what the report shows from the tables of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from drq_spark.config import Config
from drq_spark.gate import GateResult
from drq_spark.inputs.tables import column, read_table
from drq_spark.measure.aggregate import code_usage
from drq_spark.measure.values import MetricRow
from drq_spark.report.data import EXTERNAL, Bucket, Example, Neighbour, ReportData
from drq_spark.schemas import METRICS, SID_QUARANTINE, SID_USAGE, SIDS
from drq_spark.store import Store
from drq_spark.tokenizer import Tokenizer
from drq_spark.tokenizer.keys import place_values

_EXAMPLES = 8
_NEIGHBOURS = 5
_MEASURING = {"sids", "items", "events", "measure", "store", "seed"}  # settings that SIDs from elsewhere depend on


def gather(
    store: Store,
    run: Mapping[str, Any],
    config: Config,
    tokenizer: Tokenizer | None,
    codebook_sizes: tuple[int, ...],
    figures: Sequence[MetricRow],
    gate: tuple[GateResult, ...],
) -> ReportData:
    """Everything on the page, for a measured run; `run` is its row of the runs table.

    `tokenizer` is None for SIDs from elsewhere.
    """
    run_id = str(run["run_id"])
    sids = store.read(SIDS, run_id)
    buckets = store.read(SID_USAGE, run_id).orderBy("rank").collect()
    chosen, near = _examples(sids, codebook_sizes)
    ids = [item for bucket in buckets for item in bucket.examples]
    ids += [row.item_id for row in chosen] + [row.item_id for rows in near.values() for row in rows]
    names = _names(store.spark, config, ids)
    set_aside = store.read(SID_QUARANTINE, run_id).groupBy("reason").count()
    shown = ("run_id", "run_date", "status", "package_version", "input_fingerprint", "config_fingerprint")
    return ReportData(
        run={**{key: str(run[key]) for key in shown}, "source": str(config.sids.path or config.items.path)},
        seconds=run["seconds"],
        rows_in=run["rows_in"],
        rows_out=run["rows_out"],
        quarantine={row.reason: row["count"] for row in set_aside.collect()},
        tokenizer_id=run["tokenizer_id"],
        kind=tokenizer.kind if tokenizer else EXTERNAL,
        dim=run["dim"],
        latent_dim=tokenizer.latent_dim if tokenizer else 0,
        codebook_sizes=codebook_sizes,
        normalize=tokenizer.normalize if tokenizer else config.items.normalize,
        training=tokenizer.training if tokenizer else {},
        sigma_units=tokenizer.latent_rms if tokenizer else (),
        headline_eta=config.measure.headline_eta,
        metrics=tuple(figures),
        gate=gate,
        usage=code_usage(sids, codebook_sizes),
        buckets=tuple(
            Bucket(
                bucket["rank"], tuple(bucket.codes), bucket["items"], bucket.exposure, bucket.distinct_embeddings,
                tuple(names[item] for item in bucket.examples),
            )
            for bucket in buckets
        ),
        examples=tuple(
            Example(
                names[row.item_id], tuple(row.codes), row.exposure,
                tuple(
                    Neighbour(names[other.item_id], tuple(other.codes), other.shared)
                    for other in near.get(row.item_id, [])
                ),
            )
            for row in chosen
        ),
        config=config.model_dump(mode="json", include=None if tokenizer else _MEASURING),
        previous_run_id=run["previous_run_id"],
        notes=tuple(run["notes"] or ()),
    )  # fmt: skip


def read_figures(store: Store, run_id: str) -> list[MetricRow]:
    """The metrics of a run, back from the table."""
    rows = store.read(METRICS, run_id).collect()
    return [MetricRow(**{item.name: row[item.name] for item in fields(MetricRow)}) for row in rows]


def _examples(sids: DataFrame, codebook_sizes: tuple[int, ...]) -> tuple[list[Any], dict[Any, list[Any]]]:
    """The most exposed items (by hash of the id without exposure) and the items nearest to each in SID space."""
    order = [F.desc_nulls_last("exposure"), F.xxhash64("item_id"), F.asc("item_id")]
    chosen = sids.orderBy(*order).limit(_EXAMPLES).select("item_id", "codes", "sid", "exposure").collect()
    if not chosen:
        return [], {}
    first = int(place_values(codebook_sizes)[0])
    thin = sids.select("item_id", "codes", "sid", "suffix", "exposure")
    seeds = thin.where(F.col("item_id").isin([row.item_id for row in chosen]))
    prefix = F.expr(f"sid div {first}").alias("prefix")
    seeds = seeds.select(F.col("item_id").alias("seed"), F.col("codes").alias("seed_codes"), prefix)
    joined = thin.select("*", prefix).join(F.broadcast(seeds), "prefix").where("item_id != seed")
    shared = sum(
        (
            F.when(F.slice("codes", 1, level) == F.slice("seed_codes", 1, level), 1).otherwise(0)
            for level in range(1, len(codebook_sizes) + 1)
        ),
        F.lit(0),
    )
    window = Window.partitionBy("seed").orderBy(F.desc("shared"), F.desc_nulls_last("exposure"), "item_id")
    ranked = joined.withColumn("shared", shared).withColumn("place", F.row_number().over(window))
    near: dict[Any, list[Any]] = {}
    for row in ranked.where(F.col("place") <= _NEIGHBOURS).orderBy("seed", "place").collect():
        near.setdefault(row.seed, []).append(row)
    return chosen, near


def _names(spark: SparkSession, config: Config, ids: Sequence[Any]) -> dict[Any, str]:
    """Text for each of a few hundred ids; the id itself where there is no name."""
    names = {item: str(item) for item in ids}
    if config.items.name is None or config.items.path is None or not names:
        return names
    source = read_table(spark, config.items.path, "items table")
    what = "items table"
    item_id = column(source, config.items.id, "items.id", what).alias("item_id")
    name = column(source, config.items.name, "items.name", what).cast("string").alias("name")
    found = source.select(item_id, name).where(F.col("item_id").isin(list(names)) & F.col("name").isNotNull())
    names |= {row.item_id: row.name for row in found.dropDuplicates(["item_id"]).collect()}
    return names
