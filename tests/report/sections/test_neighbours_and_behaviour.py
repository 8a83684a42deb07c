"""What the page says of the events, by hand-made figures."""

from __future__ import annotations

from dataclasses import replace

from report.builder import build

from drq_spark.report.data import MetricRow
from drq_spark.report.sections.neighbours_and_behaviour import parts


def test_the_account_of_the_events_shows_what_there_is_and_pairs_even_where_there_are_none():
    counts = {
        "events": 12_000, "events_without_user": 0, "events_of_unknown_items": 11_403, "events_tied": 0,
        "event_pairs": 0, "event_users": 400, "judging_users": 0,
    }  # fmt: skip
    figures = tuple(MetricRow(name, 0, "items", None, float(count)) for name, count in counts.items())
    facts = parts(replace(build(levels=1, items=1000), metrics=figures))["behaviour_facts"]
    assert [(fact.term, fact.value) for fact in facts] == [
        ("Events", "12,000"),
        ("Of unknown items", "11,403"),
        ("Pairs", "0"),
        ("Users", "400"),
        ("Users that judge", "0"),
    ]
