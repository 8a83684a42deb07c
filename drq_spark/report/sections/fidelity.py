"""How well embeddings can be rebuilt from their SIDs."""

from __future__ import annotations

from typing import Any

from drq_spark.metrics import ITEMS, Metric
from drq_spark.page.drawing import Row, bar_rows
from drq_spark.page.elements import Chart, Fact, Table
from drq_spark.page.numbers import percent
from drq_spark.report.cells import MISSING, figure, known_levels, table_by_level
from drq_spark.report.data import ReportData


def parts(data: ReportData) -> dict[str, Any]:
    """What the section shows, by the names in its template."""
    return {
        "fidelity_facts": _facts(data),
        "residuals": _residuals(data),
        "margin_table": _margin_table(data),
    }


def _facts(data: ReportData) -> list[Fact]:
    """How well embeddings can be rebuilt from their SIDs."""
    words = [
        (
            Metric.RELATIVE_MSE,
            "Relative MSE",
            "squared error over variance: 0 is perfect, 1 no better than the average item",
        ),
        (
            Metric.RESIDUAL_SHARE_NEW,
            "Left of new items",
            "of their spread, after the last level: their embeddings are new tonight",
        ),
        (
            Metric.RESIDUAL_SHARE_UNSEEN,
            "Left of unseen items",
            "the same of items that training kept away: new ones of that kind",
        ),
        (Metric.MEAN_COSINE, "Mean cosine", "between an embedding and its reconstruction: 1 is the same direction"),
    ]
    return [Fact(term, figure(data, metric), text) for metric, term, text in words if figure(data, metric) != MISSING]


def _residuals(data: ReportData) -> Chart | None:
    """What is left of the latents' spread after each level."""
    shares = known_levels(data, Metric.RESIDUAL_SHARE)
    if not shares:
        return None
    rows = [Row("at first", ((1.0, "uneven"),), percent(1.0))]
    rows += [Row(f"after {level}", ((left, "effective"),), percent(left)) for level, left in shares.items()]
    words = "; ".join(f"after level {level} {percent(left)}" for level, left in shares.items())
    return Chart(
        "What the codes have not yet explained",
        "Squared distance between latent and codes so far, as a share of the latents' spread. Each level should take a "
        "clear bite; one that does not is wasted.",
        bar_rows(rows, "residuals", f"Residual share per level: {words}", right=62),
    )


def _margin_table(data: ReportData) -> Table | None:
    """How sure the assignment was, per level."""
    columns: list[tuple[str, Metric, float | None]] = [
        ("left unexplained", Metric.RESIDUAL_SHARE, None),
        ("mean margin", Metric.MEAN_MARGIN, None),
        ("decided in float64", Metric.UNCERTAIN_SHARE, None),
    ]
    return table_by_level(data, "Per level", columns, ITEMS, [])
