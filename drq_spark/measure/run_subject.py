"""A run as a subject: what its steps have left, put together for measuring."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
from pyspark.sql import DataFrame

from drq_spark.inputs.attributes import read_attributes
from drq_spark.inputs.events import with_exposure
from drq_spark.inputs.items import Catalogue
from drq_spark.inputs.second_version import read_after
from drq_spark.measure.capacity.sigma import MOST_ITEMS, items_of_scales
from drq_spark.measure.churn import churn_of
from drq_spark.measure.drift import drift, new_sids, usage_at_training
from drq_spark.measure.figures import AssignmentTotals
from drq_spark.measure.foreseen import is_all
from drq_spark.measure.item_sample import ItemSample, fitting, lowest_keys, mean_centred_square, sample_of
from drq_spark.measure.picked_items import with_picked
from drq_spark.measure.sampled_fidelity import sampled_fidelity
from drq_spark.measure.step import Known
from drq_spark.measure.subject import Subject
from drq_spark.rows import one_row
from drq_spark.runs import Run
from drq_spark.schemas import ASSIGNMENT_TOTALS

_FEWER_NEW = 4  # new items are judged by one for so many of all

_Which = Literal["all", "new"]


def subject_of(run: Run, catalogue: Catalogue) -> Subject:
    """The SIDs of a run, with everything that a figure may need beside them.

    Raises:
        ConfigError: the run has no SIDs.
        InputRefused: attributes or the second version of the embeddings cannot be used.
    """
    tokenizer = run.tokenizer()
    events, kept = catalogue.events, run.kept_embeddings
    whole = kept is not None and is_all(run.config, run.state.rows_in)
    subject = Subject(
        sids=_sids(run, catalogue),
        codebook_sizes=tokenizer.codebook_sizes,
        id_type=run.state.id_type,
        config=run.config,
        staging=run.staging,
        tokenizer=tokenizer,
        dim=run.state.dim,
        items=kept if whole else catalogue.df,
        pairs=None if events is None else events.pairs(),
        account=None if events is None else events.account,
        attributes=read_attributes(run.spark, run.config, run.state.id_type),
        after=read_after(run.spark, run.config, run.state.id_type),
        picked=None if whole else kept,
    )
    most = MOST_ITEMS + sum(_most(subject).values())
    if not run.state.carries_over or run.state.rows_in <= 2 * most:
        return subject
    judged = [_judged(run, subject, which) for which in _most(subject) if which == "all" or run.state.is_night]
    return with_picked(subject, [*items_of_scales(subject), *judged])


def known_of(run: Run, subject: Subject) -> Known:
    """What the steps before measuring have counted, and what has changed since the run that readers follow."""
    counted = Known(
        rows_in=run.state.rows_in,
        rows_quarantined=run.state.rows_quarantined or 0,
        churn=churn_of(run, subject.sids),
    )
    if not run.state.carries_over:
        return replace(counted, totals=_totals(run))
    assert subject.tokenizer is not None  # a run's own SIDs
    tokenizer, sample = subject.tokenizer, _sample(run, subject, "all")
    fidelity = sampled_fidelity(sample, tokenizer)
    if run.state.is_night:
        fidelity += drift(_sample(run, subject, "new"), sample, tokenizer)
    return replace(
        counted,
        fidelity=fidelity,
        sample_mean_square=mean_centred_square(sample),
        usage_at_training=usage_at_training(run),
    )


def _most(subject: Subject) -> dict[_Which, int]:
    """How many items are judged, of all and of new ones."""
    assert subject.dim is not None  # a run's own SIDs, as in `known_of`
    wanted = subject.config.nightly.judged_items
    return {"all": min(wanted, fitting(subject.dim)), "new": min(wanted // _FEWER_NEW, fitting(subject.dim))}


def _judged(run: Run, subject: Subject, which: _Which) -> DataFrame:
    """Rows of `lowest_keys` of the items that are judged; a run that is no night has no new ones."""
    sids = subject.sids if which == "all" else new_sids(run, subject.sids)
    lowest = lowest_keys(sids, subject.config.seed, _most(subject)[which])
    return subject.staging.keep_once(lowest, f"judged_{which}")


def _sample(run: Run, subject: Subject, which: _Which) -> ItemSample:
    """Items that are judged, with their embeddings."""
    assert subject.tokenizer is not None  # a run's own SIDs, as in `known_of`
    assert subject.dim is not None
    normalize, most = subject.tokenizer.normalize, _most(subject)[which]
    drawn = _judged(run, subject, which)
    return sample_of(drawn, subject.levels, subject.drawn_from, subject.dim, normalize, most)


def _sids(run: Run, catalogue: Catalogue) -> DataFrame:
    """The SIDs of all items; those of a night know no exposure, and get that of today where there is any."""
    sids = run.sids()
    if not run.state.is_night:
        return sids
    if run.config.items.exposure is not None:
        shown = sids.drop("exposure").join(catalogue.df.select("item_id", "exposure"), "item_id")
    elif catalogue.events is not None:
        shown = with_exposure(sids, catalogue.events)
    else:
        return sids
    return run.staging.keep_once(shown, "exposed_sids")


def _totals(run: Run) -> AssignmentTotals:
    row = one_row(run.rows(ASSIGNMENT_TOTALS, "assign").drop("run_id", "tokenizer_id"))
    arrays = ("residual_square", "margin", "uncertain")
    values: dict[str, Any] = row.asDict()
    return AssignmentTotals(**values | {name: np.array(values[name]) for name in arrays})
