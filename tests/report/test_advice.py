"""Each rule on a made catalogue with exactly that illness: that advice and no other; a healthy one gets none."""

from __future__ import annotations

from dataclasses import asdict, replace
from types import SimpleNamespace

import numpy as np
import pytest
from report.ill import CODES, ITEMS, figures, healthy
from runs_in_hand import state_of

from drq_spark.metrics import MetricRow
from drq_spark.report.advice.advise import Rule, advice
from drq_spark.report.advice.on_page import _SECTION
from drq_spark.report.advice.on_retraining import why_retrain

RNG = np.random.default_rng(5)


def rules(made, *more: MetricRow):
    """(rule, levels) of what is advised about a made catalogue with these further figures."""
    return [(found.rule, found.levels) for found in told(made, *more)]


def told(made, *more: MetricRow):
    return advice([*figures(made), *more], [len(book) for book in made.books], 0.5)


def estimates(**values: float) -> list[MetricRow]:
    return [MetricRow(name, 0, "items", None, value, 0.01) for name, value in values.items()]


def collapsed():
    return healthy().with_codes(1, RNG.integers(0, 7, ITEMS))


def dead():
    return healthy().with_codes(2, RNG.integers(0, CODES // 2, ITEMS)).with_codes(3, RNG.integers(0, 50, ITEMS))


def uneven():
    """Every code in use, shares falling by a tenth from code to code."""
    shares = 0.9 ** np.arange(CODES)
    return healthy().with_codes(3, RNG.choice(CODES, ITEMS, p=shares / shares.sum()))


def exposed():
    """Items of the first two codes are shown a thousand times as often."""
    made = healthy()
    return replace(made, exposure=np.where(made.codes[:, 0] < 2, 1000.0, 1.0) * made.exposure)


def copies():
    """Every tenth item is a copy of the one before it: same embedding, same SID."""
    made = healthy()
    source = np.where(np.arange(ITEMS) % 10 == 9, np.arange(ITEMS) - 1, np.arange(ITEMS))
    return replace(made, codes=made.codes[source], embedding=source)


def clump(size: int = 400):
    """Different embeddings under one SID."""
    made = healthy()
    codes = made.codes.copy()
    codes[:size] = codes[0]
    return replace(made, codes=codes)


def pairs():
    """Two different embeddings a SID, among 13 times as many SIDs as items."""
    made = healthy()
    return replace(made, codes=made.codes[np.arange(ITEMS) // 2])


@pytest.mark.parametrize(
    ("made", "rule", "levels"),
    [
        (collapsed(), Rule.COLLAPSED, (1,)),
        (dead(), Rule.DEAD, (2, 3)),
        (uneven(), Rule.UNEVEN, (3,)),
        (healthy().with_book(2, 0.35), Rule.CROWDED, (2,)),
        (healthy().with_book(3, 0.07), Rule.UNSTABLE, (3,)),
        (exposed(), Rule.EXPOSURE, (1,)),
        (copies(), Rule.DUPLICATES, ()),
        (healthy(codes=16), Rule.TOO_SMALL, ()),
        (clump(), Rule.CLUMPED, ()),
        (pairs(), Rule.CLUMPED, ()),
    ],
    ids=lambda value: value.name if isinstance(value, Rule) else "",
)
def test_one_illness_one_advice(made, rule, levels):
    assert rules(made) == [(rule, levels)]


def test_a_healthy_catalogue_needs_none():
    sound = estimates(
        retention_200=0.8, neighbour_recall_20=0.4, auc_raw_uniform=0.82, auc_sum_uniform=0.8, auc_sum_popularity=0.6
    )
    flips = MetricRow("flip_rate", 1, "items", 0.1, 0.02, 0.01, "latent")
    assert rules(healthy(), *sound, flips) == []


@pytest.mark.parametrize(
    ("values", "told_so"),
    [
        ({"retention_200": 0.5, "neighbour_recall_20": 0.4}, True),
        ({"retention_200": 0.59, "neighbour_recall_20": 0.4}, False),  # within two standard errors of the threshold
        ({"retention_200": 0.5, "neighbour_recall_20": 0.1}, False),  # nothing is kept: no matter of behaviour
        ({"retention_200": 0.5}, False),
        ({"auc_raw_uniform": 0.85, "auc_sum_uniform": 0.7}, True),
        ({"auc_raw_uniform": 0.85, "auc_sum_uniform": 0.78}, False),
        ({"auc_raw_uniform": 0.7, "auc_sum_uniform": 0.85}, False),
    ],
)
def test_behaviour_that_is_lost(values, told_so):
    assert rules(healthy(), *estimates(**values)) == ([(Rule.BEHAVIOUR, ())] if told_so else [])


@pytest.mark.parametrize(
    ("eta", "ruler", "rate", "told_so"),
    [
        (0.1, "latent", 0.3, True),
        (0.1, "latent", 0.21, False),  # within two standard errors
        (0.5, "latent", 0.9, False),  # large noise may flip
        (0.1, "input", 0.3, True),
        (0.1, "after", 0.6, False),
    ],
)
def test_flips_at_small_noise(eta, ruler, rate, told_so):
    row = MetricRow("flip_rate", 1, "items", eta, rate, 0.01, ruler)
    found = told(healthy(), row)
    assert [(entry.rule, entry.levels) for entry in found] == ([(Rule.UNSTABLE, (1,))] if told_so else [])
    if told_so:
        assert found[0].numbers == ((f"flip_rate of level 1 at {ruler} noise 0.1", 0.3),)


def test_the_numbers_are_those_that_triggered_the_rule():
    (found,) = told(dead())
    assert found.numbers == (("dead_codes of level 2", 32), ("dead_codes of level 3", 14))
    assert "levels 2, 3" in found.cause
    (found,) = told(exposed())
    assert found.weighting == "exposure"
    shown, fair = (value for _, value in found.numbers)
    assert shown < 0.5 * fair


def test_exposure_that_no_tokenizer_could_spread():
    """Ten items of twenty thousand have nearly all exposure: their ten codes are all that they can use."""
    made = healthy()
    few = replace(made, exposure=np.where(np.arange(ITEMS) < 10, 1e9, 1.0))
    assert rules(few) == []


def test_few_items_do_not_make_dead_codes():
    """40 different embeddings cannot use more than 40 of 64 codes."""
    made = healthy()
    few = replace(made, codes=made.codes[np.arange(ITEMS) % 40], embedding=np.arange(ITEMS) % 40)
    few.codes[:, 0] = np.arange(ITEMS) % 40
    few.codes[:, 1] = np.arange(ITEMS) % 39
    few.codes[:, 2] = np.arange(ITEMS) % 38
    assert rules(few) == [(Rule.DUPLICATES, ())]


def test_two_illnesses_are_both_told():
    both = collapsed().with_book(3, 0.35)
    assert rules(both) == [(Rule.COLLAPSED, (1,)), (Rule.CROWDED, (3,))]


def test_no_figures_no_advice():
    assert advice([], [64, 64], 0.5) == []


def test_another_headline():
    """At a headline eta of 0.1 codewords are far enough apart that blur at 0.5."""
    made = healthy().with_book(2, 0.35)
    assert advice(figures(made), [CODES] * 3, 0.1) == []


def of_night(new: float, error: float, *drift: float) -> list[MetricRow]:
    """Figures of a night: residual share of new items, and drift of each level."""
    rows = [MetricRow("residual_share_new", 0, "items", None, new, error)]
    rows.append(MetricRow("residual_share_unseen", 0, "items", None, 0.4))
    return rows + [MetricRow("code_drift", level, "items", None, value) for level, value in enumerate(drift, 1)]


@pytest.mark.parametrize(
    ("figures_", "levels"),
    [
        (of_night(0.45, 0.01, 0.01, 0.01, 0.01), None),
        (of_night(0.6, 0.08), None),
        (of_night(0.6, 0.02, 0.01), ()),
        (of_night(0.4, 0.01, 0.2, 0.01, 0.06), (1, 3)),
    ],
    ids=["same kind", "too few to tell", "another kind", "other shares"],
)  # fmt: skip
def test_a_catalogue_that_is_not_the_one_of_the_training(figures_, levels):
    assert rules(healthy(), *figures_) == ([] if levels is None else [(Rule.DRIFTED, levels)])


def test_every_rule_has_a_place_on_the_page():
    assert set(_SECTION) == set(Rule)


@pytest.mark.parametrize(
    ("new", "expected"), [(0.45, None), (0.6, "residual_share_new 0.6, residual_share_unseen 0.4")]
)
def test_why_a_night_should_train_anew_is_what_its_page_advises(new, expected):
    rows = [asdict(row) for row in of_night(new, 0.01, 0.01)]
    store = SimpleNamespace(read=lambda table, run_id: SimpleNamespace(collect=lambda: rows))
    assert why_retrain(store, state_of("night")) == expected
