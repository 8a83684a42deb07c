"""The sample of a run: drawn, written into its tables, and read back for training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from drq_spark.config import Config
from drq_spark.inputs.event_account import in_short, warnings
from drq_spark.inputs.events import Events, with_exposure
from drq_spark.inputs.items import Catalogue
from drq_spark.local.compiled_queries import compiled_queries
from drq_spark.runs import Run
from drq_spark.sample.draw import draw_sample, first_candidates, sample_among
from drq_spark.sample.load import load_behaviour, load_sample
from drq_spark.sample.pairs import BehaviourDraw, draw_behaviour, near_pairs
from drq_spark.sample.values import Sample, with_behaviour
from drq_spark.schemas import BEHAVIOUR_ITEMS, BEHAVIOUR_PAIRS, SAMPLE, Table
from drq_spark.staging import Staging


@dataclass(frozen=True)
class SampleDraw:
    """What the sample tables of a run will hold; `behaviour` is None where training uses no pairs."""

    items: DataFrame
    behaviour: BehaviourDraw | None


def draw(run: Run, catalogue: Catalogue) -> SampleDraw:
    """Draw the sample of a run, and tell what has become of its events.

    Raises:
        InputRefused: as `drawn`.
    """
    return drawn(catalogue, run.config, run.staging, partial(tell_account, run))


def drawn(
    catalogue: Catalogue, config: Config, staging: Staging, tell: Callable[[Events], None] | None = None
) -> SampleDraw:
    """Draw the sample, and pairs where training asks for them: one reading of the embeddings where few rows are bad.

    Where nothing else is known, an item is exposed as often as it has events. `tell` is given the events, where there
    are any, before pairs are drawn.

    Raises:
        InputRefused: too many bad rows, fewer valid ones than codes, or no pairs.
    """
    events = catalogue.events
    if events is None:
        return SampleDraw(draw_sample(catalogue, config, staging), None)
    spark = catalogue.df.sparkSession
    with compiled_queries(spark):
        near = near_pairs(catalogue, events, config) if config.trains_on_events else None
        first = first_candidates(catalogue, config, staging, None if near is None else near.items())
    items = sample_among(first, catalogue, config, staging)
    with compiled_queries(spark):
        if tell is not None:
            tell(events)
        if config.items.exposure is None:
            counted = with_exposure(items.select("item_id"), events)  # ids alone are shuffled, no embeddings
            items = items.drop("exposure").join(F.broadcast(counted), "item_id")
        if near is None:
            return SampleDraw(items, None)
        return SampleDraw(items, draw_behaviour(near, first, catalogue, events, config, staging))


def tell_account(run: Run, events: Events | None) -> None:
    """Tell what has become of the events, and keep in the run's notes what makes them doubtful."""
    if events is None:
        return
    run.watcher.note(in_short(events.account))
    for warning in (*events.log.profile.words, *warnings(events.account, run.config)):
        run.note(warning)


def write(run: Run, drawn: SampleDraw) -> None:
    """Write the run's slices of the sample tables."""
    _write_by_key(run, SAMPLE, drawn.items, "sample_key")
    if drawn.behaviour is None:
        return
    with compiled_queries(run.spark):
        _write_by_key(run, BEHAVIOUR_ITEMS, drawn.behaviour.items, "split_key")
        _write_by_key(run, BEHAVIOUR_PAIRS, drawn.behaviour.pairs, "pair_key")


def load(run: Run) -> Sample:
    """What the sample tables of a run hold, on the driver.

    Raises:
        ConfigError: the run has no sample.
    """
    rows = _with_sids(run, run.rows(SAMPLE, "sample"))
    pairs = (run.rows(table, "sample") for table in (BEHAVIOUR_ITEMS, BEHAVIOUR_PAIRS))
    behaviour = BehaviourDraw(*pairs) if run.config.trains_on_events else None
    sample = loaded(SampleDraw(rows, behaviour), run.state.dim)
    run.watcher.note(f"{len(sample.x):,} items in the sample")
    if sample.behaviour is not None:
        told = len(sample.behaviour.pairs) + len(sample.behaviour.held_out_pairs)
        run.watcher.note(f"{told:,} pairs of consecutive items, {len(sample.behaviour.x):,} items in them")
    return sample


def loaded(draw: SampleDraw, dim: int) -> Sample:
    """What was drawn, on the driver; dim: numbers of an embedding."""
    sample = load_sample(draw.items, dim)
    if draw.behaviour is None:
        return sample
    return with_behaviour(sample, load_behaviour(draw.behaviour.items, draw.behaviour.pairs, dim))


def _with_sids(run: Run, rows: DataFrame) -> DataFrame:
    """The sample with the SIDs that a retraining shall keep."""
    if run.base is None:
        return rows
    sids = run.base.select("item_id", "codes")
    return run.staging.keep(rows.join(sids, "item_id", "left"), "sample_with_sids")


def _write_by_key(run: Run, table: Table, df: DataFrame, key: str) -> None:
    """Write the run's slice in key order, for training reads key ranges."""
    run.write(table, df.repartitionByRange(key).sortWithinPartitions(key))
