"""What downstream models get of a run: its events, split; its items, with the SIDs that the run gave them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from drq_spark.errors import ConfigError, InputRefused
from drq_spark.inputs.attributes import read_attributes
from drq_spark.inputs.embeddings import checked_rows
from drq_spark.inputs.items import Catalogue
from drq_spark.probe.behaviour_arrays import (
    asked_events,
    candidates_of,
    codes_and_suffixes,
    numbered_events,
    questions_of,
    sorted_candidates,
    trained_events,
    training_sequences,
)
from drq_spark.probe.behaviour_data import BehaviourData
from drq_spark.probe.behaviour_split import Drawing, candidate_items, split_events
from drq_spark.probe.event_parts import Part
from drq_spark.runs import Run
from drq_spark.schemas import PROBE_EVENTS

_FEWEST_QUESTIONS = 30


@dataclass(frozen=True)
class Drawn:
    """What was drawn under one seed; every tokenizer is judged by it.

    Attributes:
        ids: Ids of the candidates, in the order of their rows.
        data: The data, with the SIDs of one tokenizer.
    """

    ids: pa.Array
    data: BehaviourData

    def with_sids(self, run: Run) -> Drawn:
        """The same with the SIDs of another run of the same seed."""
        rows = run.sids().join(F.broadcast(_as_rows(run, self.ids)), "item_id")
        found = sorted_candidates(rows.select("item_id", "codes", "suffix"))
        codes, suffix = codes_and_suffixes(found, len(run.codebook_sizes))
        candidates = replace(self.data.candidates, codes=codes, suffix=suffix, codebook_sizes=run.codebook_sizes)
        return replace(self, data=replace(self.data, candidates=candidates))


def _as_rows(run: Run, ids: pa.Array) -> DataFrame:
    return run.spark.createDataFrame(pa.table({"item_id": ids}))


def drawn_from(run: Run, catalogue: Catalogue, drawing: Drawing, history: int) -> Drawn:
    """Split the events of a run into its slice of `probe_events`, and bring what is drawn to the driver.

    Args:
        run: A measured run that holds the lease.
        catalogue: What it reads.
        drawing: How much is drawn.
        history: Items before an event that a question has.

    Raises:
        ConfigError: there are no events, or they cannot be split as asked.
        InputRefused: there are too few of them.
    """
    if catalogue.events is None:
        raise ConfigError("drq probe trains models on what users do: give --events PATH_OR_TABLE")
    seed, judging = run.config.seed, run.config.events.holdout
    split = split_events(catalogue.events.log.rows, run.sids(), drawing, seed, judging, run.staging)
    run.write(PROBE_EVENTS, split)
    events = run.rows(PROBE_EVENTS, "probe")
    rows = sorted_candidates(_described(run, catalogue, candidate_items(run.sids(), events, drawing, seed)))
    ids = rows["item_id"].combine_chunks()
    numbered = run.staging.keep(numbered_events(events, ids), "probe_numbered")
    sequences = training_sequences(numbered)
    weights = trained_events(sequences, len(ids))
    if (weights > 0).sum() < 2:
        raise InputRefused("events table: the training part has events of fewer than 2 items; nothing can be learned")
    asked = run.staging.keep(asked_events(numbered, history), "probe_asked")
    validation, test = (
        questions_of(asked, part, drawing.questions, history, weights, seed) for part in (Part.VALIDATION, Part.TEST)
    )
    if min(len(validation), len(test)) < _FEWEST_QUESTIONS:
        raise InputRefused(
            f"events table: {len(validation)} events validate and {len(test)} test, and fewer than "
            f"{_FEWEST_QUESTIONS} tell nothing: give more users, another --split, or a greater events.holdout"
        )
    dim, normalize = run.state.dim, run.config.items.normalize
    assert dim is not None  # the run has embeddings
    candidates = candidates_of(rows, run.codebook_sizes, dim, normalize, weights)
    return Drawn(ids, BehaviourData(candidates, sequences, validation, test))


def _described(run: Run, catalogue: Catalogue, chosen: DataFrame) -> DataFrame:
    """The chosen items with their embeddings (array<float>) and attributes."""
    dim, normalize, id_type = run.state.dim, run.config.items.normalize, run.state.id_type
    assert dim is not None  # as in `drawn_from`
    staged = run.staging.keep(chosen, "probe_candidates")
    picked = staged.join(catalogue.df.select("item_id", "embedding"), "item_id")
    schema = f"item_id {id_type}, codes array<int>, suffix int, reason string, embedding array<float>"
    checked = picked.select("item_id", "codes", "suffix", "embedding").mapInArrow(checked_rows(dim, normalize), schema)
    usable = checked.where("reason IS NULL").drop("reason")
    attributes = read_attributes(run.spark, run.config, id_type)
    return usable if attributes is None else usable.join(attributes, "item_id", "left")
