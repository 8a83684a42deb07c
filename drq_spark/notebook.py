"""A run from a notebook: keywords in, and a result that shows its figures, its charts and its report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession
from rich.console import Console

from drq_spark.config import Config, load_config
from drq_spark.console import ConsoleWatcher
from drq_spark.errors import ConfigError
from drq_spark.external.measure_sids import measure_sids as measure_by_config
from drq_spark.files import absolute
from drq_spark.pipeline import run_all as run_by_config
from drq_spark.progress import Watcher
from drq_spark.run_result import RunResult
from drq_spark.store import named_store


def run_all(
    spark: SparkSession,
    *,
    items: str | None = None,
    out: str | None = None,
    events: str | None = None,
    item_id: str | None = None,
    embedding: str | None = None,
    exposure: str | None = None,
    name: str | None = None,
    attributes: Sequence[str] | None = None,
    event_user: str | None = None,
    event_item: str | None = None,
    event_order: str | None = None,
    tokenizer: str | None = None,
    levels: int | None = None,
    codes: int | Sequence[int] | None = None,
    seed: int | None = None,
    settings: Mapping[str, Any] | None = None,
    files: Sequence[str | Path] = (),
    run_date: date | None = None,
    night: bool = False,
    retrain: bool = False,
    watcher: Watcher | None = None,
) -> RunResult:
    """Do all steps of a run, from the items to SIDs that readers follow, as `drq run` does.

    >>> outcome = run_all(spark, items="main.shop.items", events="main.shop.events", out=folder)  # doctest: +SKIP
    >>> outcome.metrics, outcome.report(), outcome.plot_capacity(), outcome.sids  # doctest: +SKIP

    What is not given stays as `files` or the defaults of `conf/base.yaml` say. Where the gate fails nothing is raised:
    the result says so, and readers stay where they are.

    Args:
        spark: The session of the notebook.
        items: Path, glob or table name of the items.
        out: Folder for tables, tokenizers and the report.
        events: Path, glob or table name of what users did.
        item_id, embedding, exposure, name, attributes: Columns of the items, see `items.*`.
        event_user, event_item, event_order: Columns of the events, see `events.*`.
        tokenizer: Its kind.
        levels: L, codes in a SID.
        codes: K, codes a level; a list for different sizes.
        seed: Of the sample and of training.
        settings: Any others, "section.key" -> value; they win over all that is named here.
        files: YAML files as `--config` takes them, later ones win.
        run_date: Logical date; today without it.
        night: As `drq nightly`: only what is new, changed or gone.
        retrain: As `drq nightly --retrain`.
        watcher: Is told of every step; without it lines are printed, `progress.SILENT` prints none.

    Raises:
        ConfigError, InputRefused: before anything is written.
        Overtaken, Busy: as `pipeline.run_all`.
    """
    named = {
        "items.path": items, "items.id": item_id, "items.embedding": embedding, "items.exposure": exposure,
        "items.name": name, "items.attributes": attributes,
        "events.path": events, "events.user": event_user, "events.item": event_item, "events.order": event_order,
        "tokenizer.name": tokenizer, "tokenizer.levels": levels, "tokenizer.codes": codes, "seed": seed,
        "store.out": out,
    }  # fmt: skip
    config = _config(named, settings, files)
    today, now = run_date or date.today(), datetime.now(timezone.utc)
    done = run_by_config(spark, config, today, now, _told(watcher), night=night, retrain=retrain)
    return RunResult(done, named_store(spark, config), config)


def measure_sids(
    spark: SparkSession,
    *,
    sids: str | None = None,
    out: str | None = None,
    items: str | None = None,
    events: str | None = None,
    codebooks: str | None = None,
    levels: int | None = None,
    codes: int | Sequence[int] | None = None,
    item_id: str | None = None,
    embedding: str | None = None,
    exposure: str | None = None,
    name: str | None = None,
    attributes: Sequence[str] | None = None,
    event_user: str | None = None,
    event_item: str | None = None,
    event_order: str | None = None,
    settings: Mapping[str, Any] | None = None,
    files: Sequence[str | Path] = (),
    run_date: date | None = None,
    watcher: Watcher | None = None,
) -> RunResult:
    """Measure SIDs that another system made by the figures of a run, as `drq measure --sids` does.

    >>> found = measure_sids(spark, sids="index.json", items="items.parquet", out=folder)  # doctest: +SKIP
    >>> found.metric("duplicate_rate"), found.report(), found.state.notes  # doctest: +SKIP

    Nothing is judged, and readers never follow such a run. The same map and settings again change nothing.

    Args:
        spark: The session of the notebook.
        sids: The map of items to SIDs: path, glob or table name, in any of the forms of docs/external.md.
        out: Folder for tables and the report.
        items: Path, glob or table name of the items; without them there are no figures of embeddings.
        events: Path, glob or table name of what users did.
        codebooks: File of the codebooks behind the codes.
        levels: L; without it as many as codebooks, else the most frequent number of codes.
        codes: K, codes a level; a list for different sizes.
        item_id, embedding, exposure, name, attributes: Columns of the items, see `items.*`.
        event_user, event_item, event_order: Columns of the events, see `events.*`.
        settings, files, run_date, watcher: As `run_all` takes them; `sids.*` says how the map is to be read.

    Raises:
        ConfigError, InputRefused, Busy: as `external.measure_sids`.
    """
    named = {
        "sids.path": sids, "sids.codebooks": codebooks, "sids.levels": levels, "sids.codes": codes,
        "items.path": items, "items.id": item_id, "items.embedding": embedding, "items.exposure": exposure,
        "items.name": name, "items.attributes": attributes,
        "events.path": events, "events.user": event_user, "events.item": event_item, "events.order": event_order,
        "store.out": out,
    }  # fmt: skip
    config = _config(named, settings, files)
    if not config.external:
        raise ConfigError("no SIDs to measure: name the map of another system with sids=")
    today, now = run_date or date.today(), datetime.now(timezone.utc)
    done = measure_by_config(spark, config, today, now, _told(watcher))
    return RunResult(done, named_store(spark, config), config)


def _config(named: Mapping[str, Any], settings: Mapping[str, Any] | None, files: Sequence[str | Path]) -> Config:
    """Settings of keywords, of which None says nothing, over those of files; `settings` win over both.

    Raises:
        ConfigError: one is none, or a table was given as rows.
    """
    for key in ("items.path", "events.path", "sids.path"):
        table = named.get(key)
        if table is not None and not isinstance(table, str):
            what = f"{key.partition('.')[0]} is a {type(table).__name__}"
            raise ConfigError(
                f"{what}; a run reads a path or a table, so that it can be repeated: write the rows first, or use "
                "drq_spark.ml"
            )
    given = {key: value for key, value in named.items() if value is not None}
    for key in ("items.attributes", "tokenizer.codes", "sids.codes"):
        if key in given and not isinstance(given[key], int | str):
            given[key] = list(given[key])
    if "store.out" in given:
        given["store.out"] = absolute(given["store.out"])
    return load_config([Path(file) for file in files], {**given, **(settings or {})})


def _told(watcher: Watcher | None) -> Watcher:
    """Who is told of every step: without anybody lines are printed."""
    return ConsoleWatcher(Console()) if watcher is None else watcher
