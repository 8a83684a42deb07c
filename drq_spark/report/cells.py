"""Cells that several sections of the page are made of: figures as text, tables by level, SIDs, bars of lists."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from drq_spark.metrics import EXPOSURE, ITEMS, Metric
from drq_spark.page.elements import Meter, Sid, Table
from drq_spark.page.numbers import number, percent
from drq_spark.report.data import ReportData
from drq_spark.tokens import DEFAULT_TOKENS

MISSING = "–"
WEIGHTINGS = (ITEMS, EXPOSURE)
_LONGEST_NAME = 160
_SHARES = {
    Metric.QUARANTINE_RATE,
    Metric.UTILIZATION,
    Metric.DUPLICATE_RATE,
    Metric.SHARED_RATE,
    Metric.EXACT_DUPLICATE_RATE,
    Metric.EXCESS_DUPLICATE_RATE,
    Metric.RESIDUAL_SHARE,
    Metric.RESIDUAL_SHARE_NEW,
    Metric.RESIDUAL_SHARE_UNSEEN,
    Metric.UNCERTAIN_SHARE,
    Metric.CHURN,
    Metric.CHURN_MATCHED,
    Metric.HARMFUL_SHARED_RATE,
}


def figure(data: ReportData, metric: Metric, level: int = 0, weighting: str = ITEMS, eta: float | None = None) -> str:
    """The figure as text, `MISSING` where the run has none."""
    value = data.figures.value(metric, level, weighting, eta)
    if value is None:
        return MISSING
    return percent(value) if metric in _SHARES else number(value)


def known_levels(data: ReportData, metric: Metric) -> dict[int, float]:
    """Level -> figure, of the levels that have one."""
    found = data.figures.per_level(metric, len(data.codebook_sizes))
    return {level: value for level, value in enumerate(found, 1) if value is not None}


def table_by_level(
    data: ReportData,
    caption: str,
    columns: Sequence[tuple[str, Metric, float | None]],
    weighting: str,
    given: Sequence[tuple[str, list[str]]],
) -> Table | None:
    """A table of one row per level; figures that no level has leave no column, and without any there is no table.

    Args:
        data: The run.
        caption: Caption of the table.
        columns: Heading, figure and eta of each column.
        weighting: Weighting of all figures.
        given: Heading and cells of the columns that stand first and are no figures.
    """
    filled = []
    for head, metric, eta in columns:
        cells = [figure(data, metric, level, weighting, eta) for level in data.levels]
        if set(cells) != {MISSING}:
            filled.append((head, cells))
    if not filled:
        return None
    both = [*given, *filled]
    rows = zip([f"Level {level}" for level in data.levels], *(cells for _, cells in both), strict=True)
    return Table(caption, ("", *(head for head, _ in both)), tuple(rows))


def sid(name: str, codes: Sequence[int], shared: int = 0) -> Sid:
    """An item and its tokens `<a_12><b_3>`; an endless name is cut."""
    short = name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}…"
    return Sid(short, tuple(DEFAULT_TOKENS.rows(np.array([codes]))[0]), shared)


def meters(values: Sequence[tuple[str, float]], text: Callable[[float], str]) -> list[Meter]:
    most = max((value for _, value in values), default=0) or 1
    return [Meter(label, text(value), round(value / most, 4)) for label, value in values]
