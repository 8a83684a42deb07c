"""Items that share their SID: how many, why, and the SIDs with the most of them."""

from __future__ import annotations

from typing import Any

from drq_spark.metrics import EXPOSURE, Metric
from drq_spark.page.drawing import Row, bar_rows
from drq_spark.page.elements import Chart, Fact, Sid
from drq_spark.page.numbers import finite, number, percent
from drq_spark.report.cells import MISSING, figure, sid
from drq_spark.report.data import Bucket, ReportData


def parts(data: ReportData) -> dict[str, Any]:
    """What the section shows, by the names in its template."""
    return {
        "collisions": _chart(data),
        "collision_facts": _facts(data),
        "buckets": [_bucket(entry) for entry in data.buckets if entry.items > 1],
        "with_embeddings": any(entry.distinct_embeddings is not None for entry in data.buckets),
        "with_exposure": any(finite(entry.exposure) is not None for entry in data.buckets),
    }


def _chart(data: ReportData) -> Chart | None:
    surplus, exact, shared = (
        data.figures.value(metric)
        for metric in (Metric.DUPLICATE_RATE, Metric.EXACT_DUPLICATE_RATE, Metric.SHARED_RATE)
    )
    return _bars(surplus, exact, shared) if surplus else None


def _bars(surplus: float, exact: float | None, shared: float | None) -> Chart:
    """The two collision rates, and the part of the first that no tokenizer can avoid where embeddings are known."""
    rows = [Row("surplus", ((exact or 0.0, "uneven"), (surplus - (exact or 0.0), "close")), percent(surplus))]
    words, key = f"Collisions: surplus {percent(surplus)} of items", [("close", "surplus")]
    if exact is not None:
        words += f", of which {percent(exact)} are exact duplicates"
        key = [("uneven", "exact duplicates, unavoidable"), ("close", "surplus that the tokenizer adds")]
    if shared is not None:
        rows.append(Row("sharing", ((shared, "effective"),), percent(shared)))
        words += f"; sharing {percent(shared)}"
        key.append(("effective", "items that share a SID"))
    return Chart(
        "Items that collide",
        "Surplus: items that would have to go for all SIDs to be unique. Sharing: items whose SID some other item has. "
        "Short is good, but nothing can push the surplus below the exact duplicates: equal embeddings get equal SIDs.",
        bar_rows(rows, "collisions", words),
        tuple(key),
    )


def _facts(data: ReportData) -> list[Fact]:
    """What became of SIDs that more than one item has."""
    words = [
        (Metric.UNIQUE_SIDS, "Unique SIDs", "different SIDs in use"),
        (Metric.DUPLICATE_RATE, "Surplus items", "1 − unique SIDs / items: would have to go for all SIDs to differ"),
        (
            Metric.EXACT_DUPLICATE_RATE,
            "Exact duplicates",
            "1 − different embeddings / items: the least surplus possible",
        ),
        (
            Metric.EXCESS_DUPLICATE_RATE,
            "Surplus the tokenizer adds",
            "the difference of the two: this part can be improved",
        ),
        (Metric.SHARED_RATE, "Items that share a SID", "some other item has the same one"),
        (
            Metric.HARMFUL_SHARED_RATE,
            "Items that share a SID with another embedding",
            "the harmful part of that: copies of an item may share one",
        ),
        (
            Metric.BUCKET_SPREAD,
            "Spread inside buckets",
            "how far the items of one SID lie apart: 0 where only copies share one",
        ),
        (
            Metric.MOVED_ITEMS,
            "Moved apart",
            "their SID had no room for them, and they have their cheapest one that had",
        ),
        (Metric.UNIQUE_SIDS_ENCODED, "Unique SIDs before", "different SIDs that the embeddings have by themselves"),
        (Metric.RELATIVE_MSE_ENCODED, "Relative MSE before", "what the reconstruction would lose without the moves"),
        (Metric.UNPLACED_ITEMS, "Found no SID", "none of their SIDs had room: the suffix tells them apart"),
        (Metric.LARGEST_BUCKET, "Largest bucket", "items behind the most crowded SID"),
        (Metric.COLLISION_MASS, "Collision mass", "chance that two items drawn at random have the same SID"),
    ]
    facts = [Fact(term, value, text) for metric, term, text in words if (value := figure(data, metric)) != MISSING]
    shown = figure(data, Metric.COLLISION_MASS, weighting=EXPOSURE)
    if shown != MISSING:
        facts.append(Fact("Collision mass by exposure", shown, "the same, for two items as users meet them"))
    return facts


def _bucket(entry: Bucket) -> tuple[Sid, str, str, str, list[str]]:
    """SID, items, exposure, what the items are, and names of some."""
    if entry.distinct_embeddings is None:
        kind = MISSING
    elif entry.distinct_embeddings == 1:
        kind = "exact duplicates"
    elif entry.distinct_embeddings == entry.items:
        kind = "all different"
    else:
        kind = f"{number(entry.distinct_embeddings)} different"
    names = [sid(name, entry.codes).name for name in entry.names]
    exposure = finite(entry.exposure)
    return sid("", entry.codes), number(entry.items), MISSING if exposure is None else number(exposure), kind, names
