"""Which runs readers can still be moved back to: those whose SIDs are still there, all of them."""

from __future__ import annotations

import re

from pyspark.sql import functions as F

from drq_spark.errors import ConfigError
from drq_spark.files import folders
from drq_spark.run_state import RunState, find_run, latest_runs
from drq_spark.schemas import Status
from drq_spark.sids_of_run import reader_rows
from drq_spark.store import Store

_ONCE_READY = (Status.PUBLISHED.value, Status.OVERTAKEN.value)
_GONE = re.compile("FILE_NOT_EXIST|FILE_NOT_FOUND|FileNotFound|TRUNCATED_TRANSACTION_LOG|VERSION_NOT_FOUND|time travel")
_LOOKED_AT, _NAMED = 10, 3  # runs, newest first


def refuse_gone(store: Store, run_id: str) -> None:
    """Refuse a run whose SIDs or tokenizer are not there any more, before anything is written.

    Raises:
        ConfigError: it is one, or there is no run of that id; the runs that readers can be moved to are named.
    """
    state = find_run(store, run_id)
    if (lost := what_is_gone(store, state)) is None:
        return
    ready = [other for other in latest_runs(store, None) if other.status in _ONCE_READY][:_LOOKED_AT]
    whole = (other.run_id for other in ready if what_is_gone(store, other) is None)
    named = [run for run, _ in zip(whole, range(_NAMED), strict=False)]
    left = f"readers can be moved to {', '.join(named)}" if named else "no earlier run is whole: start drq run anew"
    raise ConfigError(
        f"run {run_id} cannot be published, {lost}: drq vacuum has cleared it away (--keep keeps runs, --retain-hours "
        f"versions of current_sids); {left}"
    )


def what_is_gone(store: Store, state: RunState) -> str | None:
    """What of a run with SIDs is not there any more, in words; None where all is, or it has none yet."""
    if state.status == Status.VACUUMED.value:
        return "its rows are gone"
    if state.rows_out is None or state.settings().external:
        return None
    if state.tokenizer_id not in folders(store.tokenizers):
        return f"tokenizer {state.tokenizer_id} is gone"
    try:
        # a column is read, so that files which are gone are missed
        found = reader_rows(store, state).agg(F.sum((F.col("gone_nights") == 0).cast("bigint"))).collect()[0][0] or 0
    except Exception as error:  # of Java as it comes, where the fault is in a task
        if not _GONE.search(str(error)):
            raise
        return "files of its SIDs are gone"
    return None if found == state.rows_out else f"only {found:,} of its {state.rows_out:,} SIDs are there"
