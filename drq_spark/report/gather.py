"""Gather what the report shows from the tables of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from pyspark.sql import DataFrame, Row

from drq_spark.addresses import short_path
from drq_spark.config import Config
from drq_spark.gate import GateResult
from drq_spark.metrics import MetricRow
from drq_spark.report.data import AtRisk, Bucket, Confusion, Example, Gain, Neighbour, ReportData
from drq_spark.report.explored_items import drawn_items, explored
from drq_spark.report.lookups import confused_pairs, examples, items_of_codes, usage_of_codes
from drq_spark.report.overlap_maps import overlap_maps
from drq_spark.report.run_tables import RunTables, names_of
from drq_spark.report.tree import tree
from drq_spark.schemas import (
    ATTRIBUTE_GAINS,
    CODE_CONFUSION,
    CODE_USAGE,
    EXTERNAL,
    ITEMS_AT_RISK,
    PREFIX_USAGE,
    SID_USAGE,
)
from drq_spark.store import Store
from drq_spark.tokenizer import Tokenizer

_AT_RISK = 10
_MEASURING = {"sids", "items", "events", "measure", "store", "seed"}  # settings that external SIDs depend on


def gather(
    store: Store,
    run: Mapping[str, Any],
    sids: DataFrame,
    config: Config,
    tokenizer: Tokenizer | None,
    codebook_sizes: tuple[int, ...],
    figures: Sequence[MetricRow],
    gate: tuple[GateResult, ...],
) -> ReportData:
    """Everything on the page, for a measured run.

    Parts whose tables the run does not have stay empty.

    Args:
        store: Where the tables lie.
        run: The run's row of the runs table.
        sids: Its rows, see `schemas.SIDS`.
        config: The settings that it was measured with.
        tokenizer: None for external SIDs.
        codebook_sizes: K per level.
        figures: Its rows of the metrics table.
        gate: What became of every rule.
    """
    sizes = codebook_sizes
    found = RunTables(store, str(run["run_id"]))
    usage = usage_of_codes(store.read(CODE_USAGE, found.run_id), sizes)
    chosen, near = examples(sids, sizes)
    pairs = confused_pairs(found.rows(CODE_CONFUSION), config.measure.headline_eta)
    of_codes = items_of_codes(sids, {(row.level, code) for row in pairs for code in (row.code, row.other)})
    buckets = found.first(SID_USAGE, "rank")
    risks = found.first(ITEMS_AT_RISK, "rank", most=_AT_RISK)
    ids = [item for bucket in buckets for item in bucket.examples] + [row.item_id for row in risks]
    ids += [item for items in of_codes.values() for item in items]
    ids += [row.item_id for row in chosen] + [row.item_id for rows in near.values() for row in rows]
    drawn = drawn_items(sids, sizes, run["rows_out"])
    ids += drawn["item_id"].to_pylist()
    names = names_of(store.spark, config, ids)
    prefixes, eta = found.rows(PREFIX_USAGE), config.measure.headline_eta
    return ReportData(
        **_described(run, config, tokenizer, sizes),
        quarantine=found.quarantine(),
        metrics=tuple(figures),
        gate=gate,
        usage=usage,
        buckets=_buckets(buckets, names),
        examples=_examples(chosen, near, names),
        overlap=() if tokenizer is None else overlap_maps(tokenizer, usage, eta),
        tree=() if prefixes is None else tree(prefixes, sizes),
        confusions=_confusions(pairs, of_codes, names),
        at_risk=tuple(
            AtRisk(names[row.item_id], tuple(row.codes), row.at_level, row.smallest_margin, row.exposure)
            for row in risks
        ),
        gains=tuple(
            Gain(**{item.name: row[item.name] for item in fields(Gain)})
            for row in found.first(ATTRIBUTE_GAINS, "step", "level", "estimator")
        ),
        explored=explored(drawn, names, sizes, run["rows_out"]),
    )


def _described(
    run: Mapping[str, Any], config: Config, tokenizer: Tokenizer | None, sizes: tuple[int, ...]
) -> dict[str, Any]:
    """Run, settings and tokenizer."""
    shown = ("run_id", "run_date", "status", "package_version", "input_fingerprint", "config_fingerprint")
    source = short_path(config.sids.path or config.items.path or "")
    return {
        "run": {**{key: str(run[key]) for key in shown}, "source": source},
        **{key: run[key] for key in ("seconds", "rows_in", "rows_out", "tokenizer_id", "previous_run_id", "dim")},
        "config": _settings(config, None if tokenizer else _MEASURING),
        "headline_eta": config.measure.headline_eta,
        "codebook_sizes": sizes,
        "kind": tokenizer.kind if tokenizer else EXTERNAL,
        "latent_dim": tokenizer.latent_dim if tokenizer else 0,
        "normalize": tokenizer.normalize if tokenizer else config.items.normalize,
        "training": tokenizer.training if tokenizer else {},
        "sigma_units": tokenizer.latent_rms if tokenizer else (),
        "notes": tuple(run["notes"] or ()),
    }


def _buckets(rows: Sequence[Row], names: Mapping[Any, str]) -> tuple[Bucket, ...]:
    return tuple(
        Bucket(
            row["rank"], tuple(row.codes), row["items"], row.exposure, row.distinct_embeddings,
            tuple(names[item] for item in row.examples),
        )
        for row in rows
    )  # fmt: skip


def _examples(
    chosen: Sequence[Row], near: Mapping[Any, Sequence[Row]], names: Mapping[Any, str]
) -> tuple[Example, ...]:
    return tuple(
        Example(
            names[row.item_id], tuple(row.codes), row.exposure,
            tuple(Neighbour(names[it.item_id], tuple(it.codes), it.shared) for it in near.get(row.item_id, ())),
        )
        for row in chosen
    )  # fmt: skip


def _confusions(
    pairs: Sequence[Row], of_codes: Mapping[tuple[int, int], Sequence[Any]], names: Mapping[Any, str]
) -> tuple[Confusion, ...]:
    def named(level: int, code: int) -> tuple[str, ...]:
        return tuple(names[item] for item in of_codes.get((level, code), ()))

    return tuple(
        Confusion(row.level, row.code, row.other, row["items"], named(row.level, row.code), named(row.level, row.other))
        for row in pairs
    )


def _settings(config: Config, sections: set[str] | None) -> dict[str, Any]:
    """The settings of some sections (None: all), with `short_path` for every path; the runs table has them in full."""
    shown: dict[str, Any] = config.model_dump(mode="json", include=sections)
    for section, names in config.place_names().items():
        for name in names & shown.get(section, {}).keys():
            if shown[section][name] is not None:
                shown[section][name] = short_path(shown[section][name])
    return shown
