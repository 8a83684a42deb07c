"""The gate: every rule says what it met and whether it holds."""

from __future__ import annotations

import pytest

from drq_spark.config import Config, GateRule, Measure
from drq_spark.gate import GateResult, judge
from drq_spark.metrics import Metric, MetricRow, Metrics

SETTINGS = Measure(etas=(0.1, 0.5), headline_eta=0.5)


def figure(
    metric: Metric, value: float, level: int = 0, weighting: str = "items", eta: float | None = None
) -> MetricRow:
    return MetricRow(metric.value, level, weighting, eta, value, ruler=None if eta is None else "latent")


def verdict(rule: GateRule, *figures: MetricRow) -> GateResult:
    (result,) = judge([rule], figures, SETTINGS)
    return result


GINI = [figure(Metric.GINI, 0.2, 1), figure(Metric.GINI, 0.7, 2), figure(Metric.GINI, 0.4, 3)]
CAPACITY = [figure(Metric.EFFECTIVE_CAPACITY, value, level, eta=eta)
            for level, eta, value in [(1, 0.1, 90.0), (1, 0.5, 40.0), (2, 0.1, 80.0), (2, 0.5, 30.0)]]  # fmt: skip


@pytest.mark.parametrize(
    ("minimum", "maximum", "value", "passed"),
    [
        (0.5, None, 0.5, True), (0.5, None, 0.4999, False), (0.5, None, 9.0, True),
        (None, 0.5, 0.5, True), (None, 0.5, 0.5001, False), (None, 0.5, -9.0, True),
        (0.2, 0.5, 0.3, True), (0.2, 0.5, 0.1, False), (0.2, 0.5, 0.6, False), (0.3, 0.3, 0.3, True),
        (0.0, None, 0.0, True), (None, 0.0, 0.0, True), (None, 0.0, 0.1, False),
    ],
)  # fmt: skip
def test_bounds_are_inclusive(minimum, maximum, value, passed):
    rule = GateRule(metric=Metric.RELATIVE_MSE, minimum=minimum, maximum=maximum)
    result = verdict(rule, figure(Metric.RELATIVE_MSE, value))
    assert (result.passed, result.value, result.metric, result.level) == (passed, value, "relative_mse", 0)


def test_without_a_level_the_worst_level_decides():
    assert verdict(GateRule(metric=Metric.GINI, maximum=0.6), *GINI) == GateResult(
        "gini at most 0.6", "gini", 2, 0.7, False
    )
    assert verdict(GateRule(metric=Metric.GINI, minimum=0.3), *GINI) == GateResult(
        "gini at least 0.3", "gini", 1, 0.2, False
    )
    passed = verdict(GateRule(metric=Metric.GINI, maximum=0.9), *GINI)
    assert (passed.level, passed.value, passed.passed) == (2, 0.7, True)
    between = verdict(GateRule(metric=Metric.GINI, minimum=0.3, maximum=0.5), *GINI)
    assert (between.level, between.value, between.passed) == (2, 0.7, False)  # .2 above beats .1 below


def test_a_level_is_that_level_alone():
    rule = GateRule(metric=Metric.GINI, level=3, maximum=0.5)
    assert verdict(rule, *GINI) == GateResult("gini of level 3 at most 0.5", "gini", 3, 0.4, True)
    missing = verdict(GateRule(metric=Metric.GINI, level=4, maximum=0.5), *GINI)
    assert missing == GateResult("gini of level 4 at most 0.5", "gini", 4, None, False)


def test_level_0_is_whole_sids():
    rows = [figure(Metric.CHURN, 0.9), figure(Metric.CHURN, 0.1, 1)]
    whole = verdict(GateRule(metric=Metric.CHURN, level=0, maximum=0.5), *rows)
    assert (whole.rule, whole.value, whole.passed) == ("churn at most 0.5", 0.9, False)
    assert verdict(GateRule(metric=Metric.CHURN, level=1, maximum=0.5), *rows).passed


def test_capacity_is_judged_at_the_headline_scale_unless_the_rule_names_one():
    headline = verdict(GateRule(metric=Metric.EFFECTIVE_CAPACITY, minimum=35), *CAPACITY)
    assert headline == GateResult("effective_capacity at least 35", "effective_capacity", 2, 30.0, False)
    named = verdict(GateRule(metric=Metric.EFFECTIVE_CAPACITY, minimum=35, eta=0.1), *CAPACITY)
    assert named == GateResult("effective_capacity at eta 0.1 at least 35", "effective_capacity", 2, 80.0, True)
    assert verdict(GateRule(metric=Metric.EFFECTIVE_CAPACITY, minimum=1, eta=0.3), *CAPACITY).passed is False
    assert verdict(GateRule(metric=Metric.GINI, maximum=0.9, eta=0.1), *GINI).passed  # figures without a scale


RULERS = [
    MetricRow(Metric.EFFECTIVE_CAPACITY.value, 1, "items", eta, value, ruler=ruler)
    for ruler, eta, value in [
        ("latent", 0.1, 90.0), ("latent", 0.5, 40.0), ("input", 0.1, 20.0), ("input", 0.5, 10.0), ("after", None, 5.0),
    ]
]  # fmt: skip


def test_a_rule_is_about_noise_on_the_latents_whatever_else_was_measured():
    """Noise on the embeddings and their second version leave less here; no rule has named them."""
    headline = verdict(GateRule(metric=Metric.EFFECTIVE_CAPACITY, minimum=35), *RULERS)
    assert (headline.value, headline.passed) == (40.0, True)
    named = verdict(GateRule(metric=Metric.EFFECTIVE_CAPACITY, minimum=35, eta=0.1), *RULERS)
    assert (named.value, named.passed) == (90.0, True)
    others = [row for row in RULERS if row.ruler != "latent"]
    missing = verdict(GateRule(metric=Metric.EFFECTIVE_CAPACITY, minimum=1), *others)
    assert (missing.value, missing.passed) == (None, False)


def test_a_rule_without_eta_is_about_the_headline_one_though_another_is_worse():
    """More noise leaves fewer codes: the rule holds at the headline eta of 0.5 and would not at 1."""
    rows = [figure(Metric.EFFECTIVE_CAPACITY, value, 1, eta=eta) for eta, value in [(1.0, 9.0), (0.5, 40.0)]]
    found = verdict(GateRule(metric=Metric.EFFECTIVE_CAPACITY, minimum=35), *rows)
    assert (found.value, found.passed) == (40.0, True)
    named = verdict(GateRule(metric=Metric.EFFECTIVE_CAPACITY, minimum=35, eta=1.0), *rows)
    assert (named.value, named.passed) == (9.0, False)


def test_weightings_are_kept_apart():
    rows = [figure(Metric.UTILIZATION, 0.9, 1), figure(Metric.UTILIZATION, 0.1, 1, "exposure")]
    assert verdict(GateRule(metric=Metric.UTILIZATION, minimum=0.5), *rows).passed
    shown = verdict(GateRule(metric=Metric.UTILIZATION, minimum=0.5, weighting="exposure"), *rows)
    assert shown == GateResult("utilization by exposure at least 0.5", "utilization", 1, 0.1, False)


@pytest.mark.parametrize("metric", list(Metric))
def test_a_figure_that_is_missing_fails_but_for_churn(metric):
    result = verdict(GateRule(metric=metric, minimum=0))
    assert result.value is None
    assert result.passed == (metric in {Metric.CHURN, Metric.CHURN_MATCHED})


def test_the_sentence_says_the_whole_rule():
    rule = GateRule(metric=Metric.GEOMETRY, level=2, weighting="exposure", eta=0.1, minimum=0.25, maximum=1)
    assert verdict(rule).rule == "geometry of level 2 by exposure at eta 0.1 at least 0.25 and at most 1"


def test_every_rule_has_its_result_in_order():
    rules = [GateRule(metric=Metric.GINI, maximum=0.9), GateRule(metric=Metric.ITEMS, minimum=1)]
    results = judge(rules, GINI, SETTINGS)
    assert [(result.metric, result.passed) for result in results] == [("gini", True), ("items", False)]
    assert judge([], GINI, SETTINGS) == ()


def test_the_default_rules_pass_a_good_run_and_fail_a_bad_one():
    rules = Config().gate.rules
    good = [figure(Metric.QUARANTINE_RATE, 0), figure(Metric.UTILIZATION, 0.9, 1), figure(Metric.RELATIVE_MSE, 0.3),
            figure(Metric.EXCESS_DUPLICATE_RATE, 0.1)]  # fmt: skip
    assert all(result.passed for result in judge(rules, good, SETTINGS))
    for i, bad in enumerate([0.2, 0.1, 0.99, 0.95]):
        figures = [*good[:i], MetricRow(good[i].metric, good[i].level, "items", None, bad), *good[i + 1 :]]
        assert [result.passed for result in judge(rules, figures, SETTINGS)] == [j != i for j in range(4)]


def test_churn_that_could_not_be_compared_fails_where_there_is_something_to_compare_with():
    rules = [GateRule(metric=Metric.CHURN, maximum=0.2)]
    assert [judge(rules, GINI, SETTINGS, has_previous=known)[0].passed for known in (False, True)] == [True, False]


def test_a_figure_that_there_is_none_of_is_told_in_words():
    assert verdict(GateRule(metric=Metric.GINI, maximum=0.5)).found == "no such figure"
    assert verdict(GateRule(metric=Metric.GINI, maximum=0.5), *GINI).found == "0.7"


def looking_back(rule: GateRule, now: list[MetricRow], *past: list[MetricRow]) -> GateResult:
    (result,) = judge([rule], now, SETTINGS, past=[Metrics(rows) for rows in past])
    return result


def test_bounds_times_the_median_of_earlier_runs():
    items = [[figure(Metric.ITEMS, value)] for value in (60.0, 100.0, 90.0, 80.0, 1.0)]
    rule = GateRule(metric=Metric.ITEMS, of_last=3, minimum=0.7)
    assert looking_back(rule, *items) == GateResult(
        "items at least 0.7 times the median of the last 3 runs that readers followed", "items", 0, 60 / 90, False
    )
    assert looking_back(rule, [figure(Metric.ITEMS, 64.0)], *items[1:]).passed
    assert "the last run that" in looking_back(GateRule(metric=Metric.ITEMS, of_last=1, minimum=0.7), *items).rule


def test_of_levels_the_worst_ratio_decides_and_without_a_past_all_is_well():
    rule = GateRule(metric=Metric.GINI, of_last=2, maximum=1.5)
    before = [figure(Metric.GINI, value, level) for level, value in enumerate((0.2, 0.3, 0.4), 1)]
    result = looking_back(rule, GINI, before)
    assert (result.level, result.passed) == (2, False)
    assert result.value == pytest.approx(0.7 / 0.3)
    assert looking_back(rule, GINI).passed
    assert looking_back(rule, GINI, CAPACITY).passed
