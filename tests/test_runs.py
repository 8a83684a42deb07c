"""A run while it goes on: what a step alone may change, and that no row is lost."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from unittest.mock import MagicMock

import pytest
from pipeline.catalogues import listing
from runs_in_hand import published, run_of, sids_of, state_of

from drq_spark import pipeline, prospect, runs
from drq_spark.cli.surroundings import finish
from drq_spark.config import load_config
from drq_spark.errors import ConfigError, ConsistencyError, GateFailed, InputRefused, Overtaken
from drq_spark.gate import GateResult
from drq_spark.origin import Start
from drq_spark.outcome import Outcome
from drq_spark.progress import SILENT
from drq_spark.runs import Run
from drq_spark.schemas import SID_QUARANTINE, SIDS
from drq_spark.store import Store


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


class TestFirstWrite:
    """A run that has just begun looks for nothing to replace; one that is taken up again does, as does a second try."""

    @pytest.fixture
    def modes(self, monkeypatch):
        """Tables that were written, in order, and whether each write was known to be the first."""
        found = []

        def put(self, table, df, run_id, id_type="string", first=False):
            found.append((table.name, first))

        monkeypatch.setattr(Store, "put", put)
        monkeypatch.setattr(Store, "version", lambda self, table: 0)
        return found

    @pytest.mark.parametrize("begun_here", [True, False])
    def test_is_the_runs_own_row(self, spark, tmp_path, modes, begun_here):
        state = state_of("new")
        run = Run(Store(spark, str(tmp_path)), state.settings(), state, SILENT, begun_here=begun_here)
        for _ in range(2):
            run.write(SIDS, sids_of(spark, ["a"]))
        run.save()
        new, taken_up = [("runs", True), ("sids", True), ("sids", False), ("runs", False)], [("sids", False)] * 2
        assert modes == (new if begun_here else [*taken_up, ("runs", False)])


class TestPointer:
    """Readers move forward only, unless they are told to move back."""

    @pytest.fixture
    def ready(self, monkeypatch):
        """A run whose figures pass; what it does is noted, no table is touched."""
        run, done = Run(Store(None, "DIR"), load_config(), state_of("ready"), SILENT), []
        for name in ("hold", "save", "move_pointer"):
            monkeypatch.setattr(run, name, lambda name=name: done.append(name))
        monkeypatch.setattr(run, "figures", tuple)
        monkeypatch.setattr(pipeline, "judged", lambda run, figures: ())
        monkeypatch.setattr(pipeline, "write_report", lambda run: done.append(f"page: {run.state.status}"))
        monkeypatch.setattr(pipeline, "move_readers", lambda run: done.append("move_readers"))
        return run, done

    @pytest.mark.parametrize(
        ("followed", "newer", "back", "status"),
        [
            (None, None, False, "published"),
            ("other", "ready", False, "published"),
            ("ready", "ready", False, "published"),
            ("other", "other", False, "overtaken"),
            ("other", "other", True, "published"),
        ],
    )
    def test_it_moves_to_a_newer_run_or_to_one_that_is_named(self, ready, monkeypatch, followed, newer, back, status):
        run, done = ready
        monkeypatch.setattr(Run, "followed", followed)
        monkeypatch.setattr(runs, "newest", lambda store, *ids: newer)
        pipeline.publish(run, back=back)
        assert run.state.status == status
        moved = ["hold", "page: passed", "save", "move_readers", "move_pointer", "save"]
        assert done == (["hold", "save"] if status == "overtaken" else moved)

    @pytest.mark.parametrize("repeated", [False, True])
    def test_an_old_run_tried_again_is_one_line_with_a_code_of_its_own(self, repeated):
        state = replace(state_of("older"), status="overtaken", rows_out=4)
        if not repeated:
            state = replace(state, taken_up_at=state.started_at + timedelta(hours=1))
        outcome = Outcome(state, (2,), (), (), repeated=repeated, followed="newer")
        with pytest.raises(
            Overtaken, match=r"run older is older than run newer.*publish --out DIR --run older"
        ) as ended:
            finish(outcome, state.settings(), Store(None, "DIR"))
        assert ended.value.exit_code == 5
        assert "\n" not in str(ended.value)

    def test_a_first_try_of_an_earlier_day_ends_well(self, capsys):
        state = replace(state_of("older"), status="overtaken", rows_out=4)
        outcome = Outcome(state, (2,), (), (), repeated=False, followed="newer")
        finish(outcome, state.settings(), Store(None, "DIR"))
        assert "readers follow a newer run" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("mode", "value", "hint"), [("night", None, True), ("night", 0.9, False), ("trained", None, False)]
)
def test_a_night_that_lacks_a_figure_of_the_gate_says_how_to_have_it(mode, value, hint):
    state = replace(state_of("run"), status="gate_failed", rows_out=4, mode=mode)
    failed = GateResult("retention_200 at least 0.95", "retention_200", 0, value, passed=False)
    outcome = Outcome(state, (2,), (), (failed,), repeated=False, followed=None)
    with pytest.raises(GateFailed) as ended:
        finish(outcome, state.settings(), Store(None, "DIR"))
    assert ("nightly.figures=all" in str(ended.value)) is hint


@pytest.mark.parametrize("step", ["sample", "assign", "measure"])
def test_a_step_that_reads_inputs_ends_by_looking_whether_they_have_changed(step, monkeypatch):
    for name in ("draw", "write", "assign_all", "foreseen", "subject_of", "known_of", "measured"):
        monkeypatch.setattr(pipeline, name, MagicMock())
    run = MagicMock(state=state_of("run"), config=load_config())
    run.refuse_changed_inputs.side_effect = InputRefused("they have")
    with pytest.raises(InputRefused, match="they have"):
        getattr(pipeline, step)(run, MagicMock())
    done = [call[0] for call in run.method_calls]
    assert done.index("refuse_followed") < done.index("hold")
    assert done[-1] == "refuse_changed_inputs"


@pytest.mark.parametrize(("refine", "told"), [(0, ["take more passes"]), (2, [])])
def test_training_says_what_passes_would_gain_where_none_are_asked_for(refine, told, monkeypatch):
    fitted = MagicMock(training={})
    for name, value in (("load", MagicMock()), ("split", MagicMock()), ("fit_tokenizer", lambda *_: fitted)):
        monkeypatch.setattr(pipeline, name, value)
    for name in ("save_tokenizer", "tokenizer_id"):
        monkeypatch.setattr(pipeline, name, lambda *_: "t")
    monkeypatch.setattr(pipeline, "refinement_hint", lambda tokenizer, items: "take more passes")
    monkeypatch.setattr("drq_spark.refine.step.Judge", MagicMock())
    monkeypatch.setattr("drq_spark.refine.step.refined", lambda run, catalogue, tokenizer, judge: tokenizer)
    run = MagicMock(state=state_of("run"), config=load_config(options={"train.refine": refine}))
    pipeline.train(run, MagicMock())
    notes = [call.args[0] for call in run.watcher.note.call_args_list]
    assert [note for note in notes if "passes" in note] == told


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


@pytest.mark.parametrize(
    ("retrain", "days", "why", "expected"),
    [
        ("never", 1, "drift", None),
        ("advised", 1, "drift", "trained anew (nightly.retrain), as was advised of run night: drift"),
        ("advised", 1, None, None),
        ("advised", 0, "drift", None),
        ("advised", None, "drift", None),
    ],
    ids=["not asked for", "advised", "not advised", "the same night again", "the first night"],
)
def test_a_night_trains_anew_where_the_one_before_was_advised_to(monkeypatch, retrain, days, why, expected):
    monkeypatch.setattr(prospect, "why_retrain", lambda store, state: why)
    night = state_of("night")
    start = Start(load_config(), base=None if days is None else night)
    config = load_config(options={"nightly.retrain": retrain})
    assert prospect._advised(None, config, start, night.run_date + timedelta(days=days or 0)) == expected
