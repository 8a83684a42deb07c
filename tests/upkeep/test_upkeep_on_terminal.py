"""What upkeep shows on a terminal of 80 columns."""

from __future__ import annotations

from io import StringIO

from rich.console import Console
from runs_in_hand import state_of

from drq_spark.metrics import Metric
from drq_spark.schemas import Change
from drq_spark.upkeep.history import Past
from drq_spark.upkeep.upkeep_on_terminal import show_history


def test_numbers_of_a_million_items_are_whole_in_80_columns():
    figures = {Metric.DUPLICATE_RATE: 0.1534, Metric.RELATIVE_MSE: 0.4179}
    changes = {Change.ADDED: 1_234_567, Change.MOVED: 12_345, Change.REMOVED: 123_456}
    run_id = "2026-11-28-2331e0b6"
    past = Past(state_of(run_id, rows_out=1_234_567, status="published"), figures, {}, changes)
    text = StringIO()
    show_history(Console(file=text, width=80), [past], {"live": run_id})
    [line] = [line for line in text.getvalue().splitlines() if run_id in line]
    assert line.split() == [
        run_id, "*", "published", "1,234,567", "1,234,567", "12,345", "123,456", "15.3%", "0.418"
    ]  # fmt: skip
    assert "…" not in text.getvalue()
