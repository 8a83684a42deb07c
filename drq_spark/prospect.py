"""What a run would begin with: settings, tokenizer, inputs, its row of the runs table; checked before it is written.

Two runs of the same things are one: `prospect` also finds the run that this one would be again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime

from drq_spark.config import Config
from drq_spark.inputs.event_log import EventLog, read_event_log
from drq_spark.inputs.identity import fingerprint_of
from drq_spark.inputs.items import Catalogue, read_catalogue
from drq_spark.inputs.pinning import Inputs, pin
from drq_spark.inputs.second_version import check_after
from drq_spark.origin import Start, start_of, unchanged
from drq_spark.report.advice.on_retraining import why_retrain
from drq_spark.run_state import RunState, find_same_run, new_run
from drq_spark.schemas import SIDS
from drq_spark.store import Store
from drq_spark.train.driver import check_memory
from drq_spark.train.registry import trainer


@dataclass(frozen=True)
class Prospect:
    """What a run would begin with.

    Attributes:
        config: Its settings, with the versions of its inputs.
        start: Where its tokenizer comes from.
        catalogue, log, inputs: What it reads.
        fresh: Its row of the runs table. before: That of the run which it would be again; None for a new one.
    """

    config: Config
    start: Start
    catalogue: Catalogue
    log: EventLog | None
    inputs: Inputs
    fresh: RunState
    before: RunState | None


def prospect(
    store: Store, config: Config, run_date: date, started_at: datetime, *, night: bool, retrain: bool
) -> Prospect:
    """Check the inputs of a run; writes nothing but a tokenizer that `tokenizer.source` names.

    Raises:
        ConfigError, InputRefused, Overtaken: as `begin`.
    """
    start = start_of(store, config, run_date, night=night, retrain=retrain)
    if night and not retrain and (why := _advised(store, config, start, run_date)) is not None:
        start = start_of(store, config, run_date, night=True, retrain=True)
        start = replace(start, notes=(why, *start.notes))
    start.config.require_sources(trains=start.tokenizer is None)
    config, inputs = pin(store.spark, start.config)
    catalogue = read_catalogue(store.spark, config)
    store.refuse_other_ids(SIDS, catalogue.id_type)
    check_after(store.spark, config, catalogue)
    profile = catalogue.profile
    start.check(profile.dim, catalogue.id_type)
    log = read_event_log(store.spark, config, catalogue.id_type)
    fingerprint = fingerprint_of(store.spark, config, catalogue, log, inputs)
    if start.tokenizer is None:
        check_memory(trainer(config.tokenizer.name), min(config.sample.size, profile.ids), profile.dim, config)
    described = (config, fingerprint, run_date, started_at, profile.rows, profile.dim, catalogue.id_type)
    fresh = new_run(*described, start.origin)
    before = unchanged(start, fresh) or find_same_run(store, fresh)
    fresh = replace(fresh, notes=(*start.notes, *catalogue.notes), input_versions=inputs.versions)
    return Prospect(config, start, catalogue, log, inputs, fresh, before)


def _advised(store: Store, config: Config, start: Start, run_date: date) -> str | None:
    """Why a night trains its tokenizer anew by `nightly.retrain`, in words; None where it does not.

    It looks at the night of an earlier day: one of the same day is tried again, and ends as it did.
    """
    base = start.base
    if config.nightly.retrain == "never" or base is None or base.run_date >= run_date:
        return None
    why = why_retrain(store, base)
    return why and f"trained anew (nightly.retrain), as was advised of run {base.run_id}: {why}"
