"""Makes a plan for an items table: it draws the sample as a run does, fits the grid on it and extrapolates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from uuid import uuid4

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from drq_spark.config import Config
from drq_spark.files import absolute, ensure_writable, remove_empty_folder, remove_folder
from drq_spark.formulas.duplicates import different_rows
from drq_spark.inputs.items import Catalogue, read_catalogue
from drq_spark.inputs.pinning import pin
from drq_spark.plan.grid import LEVELS, fit_shapes, quick, refuse_large, usable
from drq_spark.plan.proposal import Candidate, Plan, PlannedCatalogue, Targets, candidate, propose
from drq_spark.progress import SILENT, Watcher
from drq_spark.rows import one_row
from drq_spark.sample.draw import draw_sample
from drq_spark.sample.load import load_sample
from drq_spark.staging import Staging
from drq_spark.train.contract import TrainingData
from drq_spark.train.driver import split


def make_plan(
    spark: SparkSession,
    config: Config,
    targets: Targets,
    codes: Sequence[int] | None = None,
    levels: Sequence[int] = LEVELS,
    watcher: Watcher = SILENT,
) -> Plan:
    """Fit every shape of the grid on the sample of a run, and propose one.

    It takes three passes over the items table: profile, count of different embeddings (hashed in Java; their 64-bit
    hashes are shuffled), sample. Nothing is published.

    Args:
        spark: The session.
        config: Settings of the run; its tokenizer gives the balance only.
        targets: What the catalogue must reach.
        codes: K to try, None for 64 .. 4096 as far as the sample allows.
        levels: L to try.
        watcher: Is told what happens.

    Raises:
        ConfigError: no items, a place that cannot be written, a grid without shapes, or too much memory.
        InputRefused: the items table cannot be used, or has too few items for the codes.
        SetupError: torch is missing.
    """
    if config.store.out is not None:
        ensure_writable(absolute(config.store.out))
    drawn_as = quick(config, min(codes) if codes else 2, 1)  # asks for no more items than the smallest shape
    with watcher.step("read"):
        drawn_as, inputs = pin(spark, drawn_as)
        catalogue = read_catalogue(spark, drawn_as)
        profile = catalogue.profile
        rows = min(config.sample.size, profile.ids)
        grid = usable(codes, levels, rows - int(rows * config.sample.holdout))
        refuse_large(config, grid, rows, profile.dim)
        items, distinct = _embeddings(catalogue.df)
        watcher.note(f"{items:,} items, {distinct:,} different embeddings of {profile.dim} numbers")
    with watcher.step("sample"):
        data, fingerprint = _sample(catalogue, drawn_as)
        inputs.refuse_changes()
        grid = usable(codes, levels, len(data.fit))  # bad rows may have left fewer
        watcher.note(f"{len(data.prepared):,} items in the sample, {len(data.fit):,} of them to fit on")
    known = PlannedCatalogue(
        items=items,
        distinct_embeddings=distinct,
        sample=len(data.prepared),
        sample_distinct=_distinct(data),
        fingerprint=fingerprint,
        dim=profile.dim,
        eta=config.measure.headline_eta,
    )
    return propose(_candidates(data, config, grid, known, watcher), known, targets)


def _candidates(
    data: TrainingData, config: Config, grid: dict[int, list[int]], known: PlannedCatalogue, watcher: Watcher
) -> list[Candidate]:
    candidates: list[Candidate] = []
    for size, levels in grid.items():
        with watcher.step(f"K {size:,}"):
            fitted = fit_shapes(data, config, size, levels, known.items, watcher.progress)
            found = [candidate(one, known, config.seed) for one in fitted]
            rates = ", ".join(f"L {one.shape.levels}: {one.excess_duplicate_rate.value:.2%}" for one in found)
            watcher.note(f"excess duplicates of all items, {rates}")
            candidates += found
    return candidates


def _embeddings(df: DataFrame) -> tuple[int, int]:
    """Numbers of items with an embedding, and of different embeddings among them, by their hashes."""
    hashed = df.where(F.col("embedding").isNotNull()).groupBy("embedding_hash").agg(F.count(F.lit(1)).alias("items"))
    row = one_row(hashed.agg(F.sum("items").alias("items"), F.count(F.lit(1)).alias("distinct")))
    return int(row["items"]), int(row["distinct"])


def _sample(catalogue: Catalogue, config: Config) -> tuple[TrainingData, str]:
    """The sample, split, and its fingerprint; what it needed on disk goes."""
    with _staging(config) as staging:
        drawn = load_sample(draw_sample(catalogue, config, staging), catalogue.profile.dim)
    return split(drawn, config), drawn.fingerprint


@contextmanager
def _staging(config: Config) -> Iterator[Staging]:
    """A folder for the candidates of the sample: below `store.out`, which every node sees; else on this machine."""
    if config.store.out is None:
        with TemporaryDirectory() as folder:
            yield Staging(f"{folder}/plan")
        return
    above = f"{absolute(config.store.out)}/staging"
    own = f"{above}/plan-{uuid4().hex}"
    try:
        yield Staging(own)
    finally:
        remove_folder(own)
        remove_empty_folder(above)
        remove_empty_folder(absolute(config.store.out))


def _distinct(data: TrainingData) -> int:
    """Number of different rows of the sample."""
    return len(different_rows(data.prepared)[0])
