"""What the counts of the events mean, in words."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from drq_spark.config import load_config
from drq_spark.inputs.event_account import EventAccount, _stands_out, in_short, warnings, why_no_pair

FINE = EventAccount(
    rows=100_000, without_user=0, without_position=0, known=99_000, placed=99_000, followed=90_000, tied=100,
    repeated=2_000, pairs=88_000, users=9_000, judging_users=1_700, largest=300,
)  # fmt: skip
NONE = replace(FINE, tied=0, repeated=0, pairs=0, judging_users=0)


def test_the_line_names_what_there_is_and_nothing_else():
    assert in_short(replace(FINE, known=100_000, tied=0, repeated=0)) == (
        "100,000 events: 88,000 pairs of 9,000 users, 1,700 of whom judge"
    )
    told = in_short(replace(FINE, without_user=3, without_position=4))
    for part in ("3 without a user", "4 without a position", "1,000 of unknown items", "2,000 followed by the same"):
        assert part in told


def test_events_as_they_should_be_are_worth_no_word():
    assert warnings(FINE, load_config()) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"known": 50_000}, r"50,000 of 100,000 \(50%\) events name no item .* passed over \(events.unknown=bridge\)"),
        ({"without_user": 60_000}, r"60,000 .* nothing in column 'user_id' \(events.user\)"),
        ({"without_position": 60_000}, r"60,000 .* nothing in column 'timestamp' \(events.order\)"),
        ({"tied": 80_000}, r"80,000 of 90,000 \(89%\) .* same position .* order by hash \(events.ties=shuffle\)"),
        ({"followed": 10_000, "tied": 4_000}, r"4,000 of 10,000 \(40%\) .* same position"),
        ({"repeated": 60_000}, "60,000 of 90,000 .* same item"),
        ({"largest": 50_000, "largest_name": "anonymous"}, r"'anonymous' has 50,000 of 99,000 \(51%\) events"),
        ({"users": 12}, "8,250 events each on average"),
        ({"pairs": 20}, "20 pairs of consecutive items are left of 100,000 events"),
        ({"judging_users": 0}, r"None of the 9,000 users .* \(events.holdout=0.2\)"),
        ({"judging_users": 4}, "4 users judge behaviour"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_what_leaves_little_is_told_with_its_number_and_setting(changed, said):
    (found,) = warnings(replace(FINE, **changed), load_config())
    assert re.search(said, found)


@pytest.mark.parametrize(
    ("changed", "settings", "said"),
    [
        ({"known": 0, "placed": 0, "followed": 0}, (), "no event names an item that there is"),
        ({"placed": 0, "followed": 0}, (), "no event of a known item has both a user"),
        ({"followed": 0}, (), "each of the 9,000 users has one event"),
        ({"repeated": 90_000}, (), "followed by one of the same item"),
        ({"tied": 90_000}, ("events.ties=part",), "one position .* events.ties is part"),
        ({"tied": 60_000, "repeated": 30_000}, ("events.ties=part",), "one position .* events.ties is part"),
        ({}, ("events.unknown=part",), "events of unknown items stand between all others"),
    ],
)
def test_no_pair_has_a_cause(changed, settings, said):
    account = replace(NONE, **changed)
    config = load_config(settings=settings)
    assert re.search(said, why_no_pair(account, config))
    assert why_no_pair(account, config) in warnings(account, config)[0]


@pytest.mark.parametrize(("users", "least"), [(9_000, 1_980), (1_000, 1_980), (200, 9_900), (50, 19_800), (2, 19_800)])
def test_one_user_is_named_from_twenty_times_the_mean_on(users, least):
    """At least 2 % of the 99,000 events, however many users there are, and never more than 20 %."""
    assert _stands_out(replace(FINE, users=users, largest=least))
    assert not _stands_out(replace(FINE, users=users, largest=least - 1))
