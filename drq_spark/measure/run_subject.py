"""A run as a subject: what its steps have left, put together for measuring."""

from __future__ import annotations

from typing import Any

import numpy as np

from drq_spark.inputs.attributes import read_attributes
from drq_spark.inputs.items import Catalogue
from drq_spark.inputs.second_version import read_after
from drq_spark.measure.churn import churn_of
from drq_spark.measure.figures import AssignmentTotals
from drq_spark.measure.step import Known
from drq_spark.measure.subject import Subject
from drq_spark.rows import one_row
from drq_spark.runs import Run
from drq_spark.schemas import ASSIGNMENT_TOTALS, SIDS


def subject_of(run: Run, catalogue: Catalogue) -> Subject:
    """The SIDs of a run, with everything that a figure may need beside them.

    Raises:
        ConfigError: the run has no SIDs.
        InputRefused: attributes or the second version of the embeddings cannot be used.
    """
    tokenizer = run.tokenizer()
    events = catalogue.events
    return Subject(
        sids=run.rows(SIDS, "assign"),
        codebook_sizes=tokenizer.codebook_sizes,
        id_type=run.state.id_type,
        config=run.config,
        staging=run.staging,
        tokenizer=tokenizer,
        dim=run.state.dim,
        items=catalogue.df,
        pairs=None if events is None else events.pairs(),
        account=None if events is None else events.account,
        attributes=read_attributes(run.spark, run.config, run.state.id_type),
        after=read_after(run.spark, run.config, run.state.id_type),
    )


def known_of(run: Run, subject: Subject) -> Known:
    """What the steps before measuring have counted, and what has changed since the run that readers follow."""
    return Known(
        rows_in=run.state.rows_in,
        rows_quarantined=run.state.rows_quarantined or 0,
        totals=_totals(run),
        churn=churn_of(run, subject.sids),
    )


def _totals(run: Run) -> AssignmentTotals:
    row = one_row(run.rows(ASSIGNMENT_TOTALS, "assign").drop("run_id", "tokenizer_id"))
    arrays = ("residual_square", "margin", "uncertain")
    values: dict[str, Any] = row.asDict()
    return AssignmentTotals(**values | {name: np.array(values[name]) for name in arrays})
