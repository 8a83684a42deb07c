"""The steps of a run in order: sample, train, assign, measure, publish. Read this module first.

Every step reads what the one before it left in tables and can be run alone. A finished run is not repeated, a killed
one is taken up again under its own id (see `drq_spark.runs`).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime

from pyspark.sql import SparkSession

from drq_spark.assign.step import assign_all, assign_changes
from drq_spark.config import Config, canonical_json
from drq_spark.current_sids import move_readers
from drq_spark.errors import InputRefused
from drq_spark.gpu.gpu_tasks import require_gpus
from drq_spark.inputs.event_log import read_event_log
from drq_spark.inputs.events import events_of
from drq_spark.inputs.identity import differing, fingerprint_of
from drq_spark.inputs.items import Catalogue, read_catalogue
from drq_spark.inputs.pinning import pin
from drq_spark.lease import Lease, begun_anew
from drq_spark.measure.foreseen import foreseen
from drq_spark.measure.run_subject import known_of, subject_of
from drq_spark.measure.step import measured
from drq_spark.outcome import Outcome, judged, outcome_of
from drq_spark.progress import SILENT, Watcher
from drq_spark.prospect import prospect
from drq_spark.refine.hint import refinement_hint
from drq_spark.report.step import write_report
from drq_spark.run_state import taken_up
from drq_spark.runs import Run
from drq_spark.sample.step import draw, load, write
from drq_spark.schemas import Status
from drq_spark.store import open_store
from drq_spark.tokenizer.artifact import save_tokenizer, tokenizer_id
from drq_spark.train.driver import fit_tokenizer, split


def run_all(
    spark: SparkSession,
    config: Config,
    run_date: date,
    started_at: datetime,
    watcher: Watcher = SILENT,
    *,
    night: bool = False,
    retrain: bool = False,
) -> Outcome:
    """Do all steps, from the items table to the published pointer.

    A night carries the published SIDs over and changes only those of items that are new, changed or gone; where nothing
    is published yet it is a run like any other. With `retrain` it trains a tokenizer from the published one, so that
    SIDs stay where they can, and gives every item its SID anew.

    Raises:
        ConfigError, InputRefused: before anything is written; InputRefused also where an input changes meanwhile.
        Overtaken: a night of an earlier day than the run that readers follow.
        Busy: another run writes into the same place, and did not end within `store.wait_minutes`.
    """

    def work() -> Outcome:
        run, catalogue = begin(spark, config, run_date, started_at, watcher, night=night, retrain=retrain)
        status = Status(run.state.status)
        if status.finished:
            return outcome_of(run, repeated=True)
        with run.tidied():
            if status is not Status.PASSED:  # else it was killed when only the pointer was left to move
                to_figures(run, catalogue)
            publish(run)
        return outcome_of(run, repeated=False)

    return begun_anew(work)


def to_figures(run: Run, catalogue: Catalogue) -> None:
    """Do the steps before publishing."""
    if run.state.trains:
        sample(run, catalogue)
        train(run, catalogue)
    assign(run, catalogue)
    measure(run, catalogue)


def begin(
    spark: SparkSession,
    config: Config,
    run_date: date,
    started_at: datetime,
    watcher: Watcher,
    *,
    night: bool = False,
    retrain: bool = False,
) -> tuple[Run, Catalogue]:
    """Check the inputs, and take up the run that they belong to, or make a new one; writes no table.

    Raises:
        ConfigError: no place to write, training would need more memory than allowed, or needs events and there are
            none, or Spark gives tasks no GPU where `assign.device` asks for one.
        InputRefused: the tables cannot be used.
        Overtaken: a night of an earlier day than the run that readers follow.
        Busy: another run writes into the same place.
    """
    require_gpus(spark, config)
    store = open_store(spark, config)
    lease = Lease(store, config.store.wait_minutes)
    lease.wait(watcher.heading)
    with watcher.step("read"):
        found = prospect(store, config, run_date, started_at, night=night, retrain=retrain)
        profile = found.catalogue.profile
        watcher.note(f"{profile.rows:,} rows, embeddings of {profile.dim} numbers, ids are {found.catalogue.id_type}")
        for note in found.fresh.notes:
            watcher.note(note)
        state = taken_up(found.before, found.fresh)
    config, refuse, begun_here = found.config, found.inputs.refuse_changes, not found.before
    run = Run(store, config, state, watcher, lease, refuse_changed_inputs=refuse, begun_here=begun_here)
    return run, replace(found.catalogue, events=events_of(found.log, found.catalogue.df, config, run.staging))


def catalogue_of(run: Run) -> Catalogue:
    """The items of a resumed run with their events, read again; from now on the inputs of the run stay as they are.

    Raises:
        InputRefused: they, the events or the attributes have changed since the run began.
    """
    run.config, inputs = pin(run.spark, run.config)
    settings = canonical_json(run.config.model_dump(mode="json"))
    run.state = replace(run.state, config=settings, input_versions=inputs.versions)
    catalogue = read_catalogue(run.spark, run.config)
    log = read_event_log(run.spark, run.config, catalogue.id_type)
    found = fingerprint_of(run.spark, run.config, catalogue, log, inputs)
    if changed := differing(found, run.state.input_fingerprint):
        raise InputRefused(
            f"{' and '.join(changed)} of run {run.state.run_id} have changed since it began: start a new run"
        )
    run.refuse_changed_inputs = inputs.refuse_changes
    return replace(catalogue, events=events_of(log, catalogue.df, run.config, run.staging))


def sample(run: Run, catalogue: Catalogue) -> None:
    """Draw the sample into its table, and the pairs of the events into theirs where training uses them.

    Raises:
        ConfigError: readers follow the run, or it takes a tokenizer that is there.
        InputRefused: too many bad rows, fewer valid ones than codes, or no pairs; nothing is written then.
    """
    run.refuse_followed()
    run.refuse_given("sample")
    with run.step("sample"):
        drawn = draw(run, catalogue)
        run.hold()
        run.save()  # killed from here on, the run is taken up again on any date
        write(run, drawn)
        run.refuse_changed_inputs()


def train(run: Run, catalogue: Catalogue | None = None) -> None:
    """Train the tokenizer on the sample table, better it on all items where `train.refine` says so, and write it.

    Args:
        run: The run.
        catalogue: Its items; read again without it where they are needed.

    Raises:
        ConfigError: the run has no sample, takes a tokenizer that is there, or one that cannot be refined.
        InputRefused: the items have changed since the run began, where they are read again.
        TrainingFailed: the fit diverged, or a VAE tells its items no longer apart.
    """
    run.refuse_followed()
    run.refuse_given("train")
    run.hold()
    with run.step("train"):
        sample = load(run)
        data, keys = split(sample, run.config, run.tokenizer_before()), sample.split_key
        del sample  # the prepared copy alone stays: training holds the sample twice
        tokenizer = fit_tokenizer(data, run.config, run.watcher.progress)
        if run.config.train.refine:
            from drq_spark.refine.step import Judge, refined  # solves with torch, which no other step needs

            tokenizer = refined(run, catalogue or catalogue_of(run), tokenizer, Judge.of(keys, data))
        elif hint := refinement_hint(tokenizer, run.state.rows_in):
            run.watcher.note(hint)
        folder = save_tokenizer(tokenizer, run.store.tokenizers)
        run.state = replace(run.state, tokenizer_id=tokenizer_id(tokenizer))
        run.watcher.note(f"tokenizer in {folder}")
        for warning in tokenizer.training.get("warnings", ()):
            run.watcher.note(f"warning: {warning}")


def assign(run: Run, catalogue: Catalogue) -> None:
    """Give every item its SID, or keep the one it has; every row of the items table has one or is in sid_quarantine.

    Raises:
        ConfigError: the run has no tokenizer, or Spark gives its tasks no GPU where `assign.device` asks for one.
        InputRefused: more changes at once than a night may bring.
        ConsistencyError: rows were lost or doubled.
    """
    run.refuse_followed()
    require_gpus(run.spark, run.config)
    run.hold()
    with run.step("assign"):
        if run.state.carries_over:
            assign_changes(run, catalogue)
        else:
            assign_all(run, catalogue, foreseen(run.config, catalogue))
        run.check_rows()
        run.refuse_changed_inputs()


def measure(run: Run, catalogue: Catalogue) -> None:
    """Compute all figures of the run into their tables.

    Raises:
        ConfigError: the run has no SIDs.
        InputRefused: the second version of the embeddings cannot be used.
    """
    run.refuse_followed()
    run.hold()
    with run.step("measure"):
        subject = subject_of(run, catalogue)
        quick = run.state.is_night and run.config.nightly.figures == "quick"
        measured(subject, known_of(run, subject), run.watcher.progress, run.keep, quick=quick)
        run.refuse_changed_inputs()
        run.state = replace(run.state, status=Status.MEASURED.value)


def publish(run: Run, *, back: bool = False) -> None:
    """Judge the figures, write the report, and move the pointer if the gate is passed; the pointer moves last.

    It moves to a newer run only, unless `back` says otherwise; the page of the run that readers follow stays, too.

    Raises:
        ConfigError: the run has no figures.
    """
    run.hold()
    with run.step("publish"):
        passed = all(result.passed for result in judged(run, run.figures()))
        overtaken = passed and not back and run.overtaken()
        ended = Status.OVERTAKEN if overtaken else Status.PASSED if passed else Status.GATE_FAILED
        run.state = replace(run.state, status=ended.value)
        if not overtaken:
            write_report(run)
        if ended is Status.PASSED:
            run.save()
            move_readers(run)
            run.move_pointer()
            run.state = replace(run.state, status=Status.PUBLISHED.value)
