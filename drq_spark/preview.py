"""What a run would do, before it does anything: `--dry-run`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timezone
from math import prod

from pyspark.sql import SparkSession

from drq_spark.assign.differences import Differences, compared, counted, refuse_upheaval
from drq_spark.config import Config
from drq_spark.errors import InputRefused
from drq_spark.gpu.gpu_tasks import require_gpus
from drq_spark.inputs.event_log import EventLog, EventProfile, read_event_log
from drq_spark.inputs.items import Catalogue, read_catalogue
from drq_spark.inputs.second_version import check_after
from drq_spark.prospect import prospect
from drq_spark.schemas import Status
from drq_spark.sids_of_run import readers_of
from drq_spark.store import Store
from drq_spark.train.driver import check_memory, memory_allowed, memory_needed
from drq_spark.train.registry import trainer


def preview(spark: SparkSession, config: Config) -> dict[str, str]:
    """What a run would do, from one pass over the items table and one over the events; writes nothing.

    Raises:
        ConfigError: training would need more memory than allowed, or needs events and there are none; or tasks are
            given no GPU where `assign.device` asks for one.
        InputRefused: the items table or the events cannot be used.
    """
    config.require_sources()
    require_gpus(spark, config)
    catalogue = read_catalogue(spark, config)
    check_after(spark, config, catalogue)
    log = read_event_log(spark, config, catalogue.id_type)
    return {
        **_read(catalogue, log, catalogue.notes),
        **_training(config, catalogue),
        "steps": "sample, train, assign, measure, publish",
    }


def preview_night(store: Store, config: Config, run_date: date, *, retrain: bool) -> tuple[dict[str, str], str | None]:
    """What a night would do, and why it would be refused (None: it would not); writes nothing.

    Args:
        store, config, run_date, retrain: As for `pipeline.run_all`.

    Raises:
        ConfigError: as for `preview`.
        InputRefused: the items table or the events cannot be used, or are of another catalogue.
        Overtaken: readers follow a run of a later day.
    """
    require_gpus(store.spark, config)
    found = prospect(store, config, run_date, datetime.now(timezone.utc), night=True, retrain=retrain)
    base, read = found.start.base, _read(found.catalogue, found.log, found.fresh.notes)
    if base is None:
        return read | _training(found.config, found.catalogue) | {"night": "the first one: as drq run"}, None
    read["readers follow"] = f"run {base.run_id}, tokenizer {base.tokenizer_id}"
    if found.before is not None and Status(found.before.status).finished:
        return read | {"night": f"nothing to do: nothing has changed since run {found.before.run_id}"}, None
    rows = readers_of(store, base.run_id)
    changes = counted(compared(found.catalogue.df, rows), rows)
    shown = read | _night(changes, found.config)
    if found.start.tokenizer is None:
        return shown | _training(found.config, found.catalogue) | {"steps": "all, every item anew"}, None
    try:
        refuse_upheaval(changes, found.config)
    except InputRefused as refusal:
        return shown, str(refusal)
    return shown | {"steps": "assign, measure, publish"}, None


def _night(found: Differences, config: Config) -> dict[str, str]:
    """What becomes of the items, before any of them is encoded: one without a usable embedding counts as changed."""
    keep = config.nightly.keep_gone
    leaving = {0: found.gone, **found.still_gone}
    stay = sum(items for nights, items in leaving.items() if nights < keep)
    shares = {
        name: f" of at most {getattr(config.nightly, name):.0%} (nightly.{name})"
        for name in ("max_changed", "max_gone")
    }
    known = found.known or 1
    return {
        "items as they are": f"{found.known - found.changed - found.gone:,} keep SID and suffix",
        "new items": f"{found.to_encode - found.changed:,}",
        "with another embedding": f"{found.changed:,}, {found.changed / known:.1%}{shares['max_changed']}",
        "gone": f"{found.gone:,}, {found.gone / known:.1%}{shares['max_gone']}",
        "back as they were": f"{found.back:,}",
        "leave current_sids": f"{sum(leaving.values()) - stay:,}; places are held {config.nightly.hold_places} nights",
        "gone, but kept there": f"{stay:,} (nightly.keep_gone {keep})",
    }


def _read(catalogue: Catalogue, log: EventLog | None, notes: Sequence[str]) -> dict[str, str]:
    profile = catalogue.profile
    return {
        "rows": f"{profile.rows:,}",
        "ids": f"{profile.ids:,} of type {catalogue.id_type}",
        "embedding": f"{profile.dim} numbers",
        **({"notes": "; ".join(notes)} if notes else {}),
        **({} if log is None else {"events": " ".join([_events(log.profile), *log.profile.words])}),
    }


def _training(config: Config, catalogue: Catalogue) -> dict[str, str]:
    profile = catalogue.profile
    chosen = trainer(config.tokenizer.name)
    rows = min(config.sample.size, profile.ids)
    check_memory(chosen, rows, profile.dim, config)
    sizes, needed = config.tokenizer.codebook_sizes, memory_needed(chosen, rows, profile.dim, config) / 1e9
    return {
        "sample": f"{rows:,} items",
        "SIDs": f"{prod(sizes):.3g} possible, {sizes} codes a level",
        "driver memory for training": f"{needed:.2f} GB of {memory_allowed(config):.3g}",
    }


def _events(profile: EventProfile) -> str:
    missing = {"without a user": profile.without_user, "without a position": profile.without_position}
    return ", ".join([f"{profile.rows:,}", *(f"{count:,} {what}" for what, count in missing.items() if count)])
