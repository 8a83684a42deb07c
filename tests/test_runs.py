"""A run while it goes on: what a step alone may change, and that no row is lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from pipeline.catalogues import listing
from runs_in_hand import published, run_of, sids_of

from drq_spark import pipeline
from drq_spark.errors import ConfigError, ConsistencyError
from drq_spark.schemas import SID_QUARANTINE, SIDS


@pytest.fixture(scope="module")
def followed(spark, tmp_path_factory):
    """A run that readers follow."""
    return published(spark, tmp_path_factory.mktemp("followed"), "followed", ["a", "b"])


@pytest.fixture(scope="module")
def counted(spark, tmp_path_factory):
    """Three items with a SID and one in quarantine."""
    out = tmp_path_factory.mktemp("counted")
    run = run_of(spark, out, "counted")
    run.write(SIDS, sids_of(spark, ["a", "b", "c"]))
    run.write(SID_QUARANTINE, spark.createDataFrame([("d", "null")], "item_id string, reason string"))
    return out


@pytest.mark.parametrize("step", ["sample", "train", "assign", "measure"])
def test_a_step_alone_leaves_a_published_run_as_it_is(followed, step):
    out = Path(followed.store.out)
    before = listing(out)
    steps = {
        "sample": lambda: pipeline.sample(followed, None),
        "train": lambda: pipeline.train(followed),
        "assign": lambda: pipeline.assign(followed, None),
        "measure": lambda: pipeline.measure(followed, None),
    }
    with pytest.raises(ConfigError, match="run followed is published, its tables stay as they are: start a new run"):
        steps[step]()
    assert listing(out) == before


def test_a_run_that_readers_do_not_follow_may_be_done_again(spark, followed):
    other = run_of(spark, followed.store.out, "other")
    other.refuse_followed()


@pytest.mark.parametrize("rows_in", [3, 5], ids=["one row too many", "one row lost"])
def test_rows_with_a_sid_and_rows_in_quarantine_are_all_rows_that_went_in(spark, counted, rows_in):
    run = run_of(spark, counted, "counted", rows_in=rows_in)
    with pytest.raises(ConsistencyError, match=f"run counted: {rows_in} rows in, but 3 with a SID and 1 in quarantine"):
        run.check_rows()


def test_the_run_keeps_how_many_rows_have_a_sid(spark, counted):
    run = run_of(spark, counted, "counted", rows_in=4)
    run.check_rows()
    assert (run.state.rows_out, run.state.rows_quarantined) == (3, 1)
