"""What every command finds around it: the terminal, the clock, the session and the store."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import date, datetime, timezone
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from drq_spark.addresses import without_secrets
from drq_spark.errors import ConfigError, GateFailed, Overtaken
from drq_spark.files import absolute, bytes_on_disk
from drq_spark.schemas import LIVE

if TYPE_CHECKING:  # each command loads what it needs, so that `drq --help` is quick and needs neither Spark nor torch
    from pyspark.sql import SparkSession

    from drq_spark.config import Config
    from drq_spark.console import ConsoleWatcher
    from drq_spark.outcome import Outcome
    from drq_spark.store import Store

out_console = Console()
error_console = Console(stderr=True)
_heap: ContextVar[str | None] = ContextVar("heap", default=None)
_SMALL = 64 * 2**20  # bytes; some 100,000 embeddings of 128 numbers (bench/small_data.py)
_MODERATE = 2**30  # bytes; some 2,000,000 of them (bench/nights.py)
_UNITS = {"m": 2**20, "g": 2**30}


def demo_data() -> Path:
    """Folder of the bundled catalogue: items.parquet, events.parquet, columns.yaml."""
    return Path(str(files("drq_spark") / "data" / "packages_5k"))


def session(config: Config | None = None, *, night: bool = False) -> SparkSession:
    """The cluster's session, or a local one that is started now, for what the settings name.

    Args:
        config: The settings; nothing is known of the size of the inputs without them.
        night: Whether few rows of many are worked on.
    """
    from drq_spark.session import session_for_run

    size = None if config is None else size_of_inputs(config)
    small, moderate = (size is not None and size <= most for most in (_SMALL, _MODERATE))
    return session_for_run(watcher().loading, small_data=small, quick_java=night and moderate, memory=_heap.get())


def config_of(files: Sequence[Path] | None, options: Mapping[str, Any], settings: Sequence[str] | None) -> Config:
    """The settings that a command is given.

    Raises:
        ConfigError: as `load_config`.
    """
    from drq_spark.config import load_config

    return load_config(files or (), options, settings or ())


def size_of_inputs(config: Config) -> int | None:
    """Bytes of all that a run reads, where that is local files; of a table with a name nothing is known."""
    sizes = [bytes_on_disk(source) for source in config.sources()]
    known = [size for size in sizes if size is not None]
    return sum(known) if len(known) == len(sizes) else None


def take_driver_memory(value: str | None) -> None:
    """Let the session that this command starts have a heap of that size; None for the default.

    Raises:
        ConfigError: it is no size, more than there is, or Spark runs already.
    """
    _heap.set(None)
    if value is not None:
        _check_heap(value)
        _heap.set(value)


def _check_heap(value: str) -> None:
    from drq_spark.machine_memory import memory_limit
    from drq_spark.session import has_cluster

    size = re.fullmatch(r"([1-9][0-9]*)([mg])", value.lower())
    if size is None:
        raise ConfigError(f"--driver-memory is {value!r}; it takes a whole number of MiB or GiB, such as 900m or 4g")
    needed, there = int(size[1]) * _UNITS[size[2]], memory_limit()
    if needed > there:
        raise ConfigError(
            f"--driver-memory is {value}, and this machine or container has {there / _UNITS['g']:.1f} GiB: give less"
        )
    if has_cluster():
        raise ConfigError(
            "--driver-memory is for a Spark that this command starts, and one runs already: its memory is set where it "
            "is started (spark-submit --driver-memory)"
        )


@contextmanager
def own_session_stopped() -> Iterator[None]:
    """Stop the local session that a command started; a session that was there before stays."""
    before = _active_session()
    try:
        yield
    finally:
        after = _active_session()
        if before is None and after is not None:
            after.stop()


def _active_session() -> SparkSession | None:
    """The running session; asks only where Spark has been loaded."""
    if "pyspark.sql" not in sys.modules:
        return None
    from pyspark.sql import SparkSession

    return SparkSession.getActiveSession()


def store_of(out: str, schema: str | None, channel: str = LIVE) -> Store:
    """The store in a folder, with its tables there or in a schema of the catalog.

    Raises:
        ConfigError: the address carries what opens it, or the channel is no name.
    """
    from drq_spark.config import load_config
    from drq_spark.store import named_store

    named = {"store.out": absolute(out), "store.schema_name": schema, "store.channel": channel}
    config = load_config(options=named)  # before Spark starts: a wrong address is told at once
    return named_store(session(), config)


def watcher() -> ConsoleWatcher:
    """A watcher that tells the terminal how far a run is."""
    from drq_spark.console import ConsoleWatcher

    return ConsoleWatcher(out_console)


def show_error(message: str) -> None:
    """Print one line on the error console, whatever address of whomever it quotes."""
    error_console.print(Text.assemble(("error:", "red"), f" {without_secrets(message)}"), soft_wrap=True)


def day(run_date: datetime | None) -> date:
    """The logical date of a run: today unless one is given."""
    return run_date.date() if run_date is not None else date.today()


def now() -> datetime:
    """When a run begins."""
    return datetime.now(timezone.utc)


def finish(outcome: Outcome, config: Config, store: Store) -> None:
    """Show how a run ended.

    Raises:
        GateFailed: its figures break a rule of the gate.
        Overtaken: it is an old run that was tried again, and readers follow a newer one. A first try of an earlier day
            ends well: the catalogue of that day is there, and the pointer is where it should be.
    """
    from drq_spark.console import show_outcome

    show_outcome(out_console, outcome, config, store)
    failed = [result for result in outcome.gate if not result.passed]
    if failed:
        worst = "; ".join(f"{result.rule} (is {result.found})" for result in failed)
        missing = outcome.state.is_night and any(result.value is None for result in failed)
        more = ". A night measures all figures with --set nightly.figures=all" if missing else ""
        raise GateFailed(f"the gate failed: {worst}{more}. Data is written, the published pointer was not moved")
    if outcome.state.status == "overtaken" and (outcome.repeated or outcome.state.taken_up):
        run_id = outcome.state.run_id
        raise Overtaken(
            f"run {run_id} is older than run {outcome.followed}, which readers follow. Data is written, the published "
            f"pointer was not moved; drq publish --out {store.out} --run {run_id} moves it back"
        )
