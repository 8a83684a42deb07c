"""The figures of a run by name: one is found by all that it was measured by, and by nothing less."""

from __future__ import annotations

import math

import pytest

from drq_spark.errors import ConfigError
from drq_spark.metrics import EXPOSURE, ITEMS, Metric, MetricRow, Metrics, Ruler

K_EFF, GINI = Metric.EFFECTIVE_CAPACITY, Metric.GINI
ROWS = [
    MetricRow(GINI.value, 2, ITEMS, None, 0.2),
    MetricRow(GINI.value, 1, EXPOSURE, None, 0.9),
    MetricRow(GINI.value, 3, ITEMS, None, math.nan),
    MetricRow(K_EFF.value, 1, ITEMS, None, 3.0, None, "after"),
    MetricRow(K_EFF.value, 2, ITEMS, 0.5, 20.0, None, "latent"),
    MetricRow(K_EFF.value, 1, ITEMS, 0.5, 10.0, 0.5, "latent"),
    MetricRow(K_EFF.value, 1, ITEMS, 0.1, 50.0, None, "latent"),
    MetricRow(K_EFF.value, 1, ITEMS, 0.5, 5.0, None, "input"),
    MetricRow(K_EFF.value, 1, EXPOSURE, 0.5, 7.0, None, "latent"),
    MetricRow(K_EFF.value, 0, ITEMS, 0.5, math.inf, None, "latent"),
]
METRICS = Metrics(ROWS)


@pytest.mark.parametrize(
    ("value", "asked"),
    [
        (0.2, {"metric": GINI, "level": 2}),
        (None, {"metric": GINI}),
        (None, {"metric": GINI, "level": 1}),
        (0.9, {"metric": GINI, "level": 1, "weighting": EXPOSURE}),
        (None, {"metric": GINI, "level": 3}),
        (None, {"metric": GINI, "level": 2, "eta": 0.5}),
        (10.0, {"metric": K_EFF, "level": 1, "eta": 0.5}),
        (10.0, {"metric": K_EFF, "level": 1, "eta": 0.5, "ruler": Ruler.LATENT}),
        (5.0, {"metric": K_EFF, "level": 1, "eta": 0.5, "ruler": Ruler.INPUT}),
        (3.0, {"metric": K_EFF, "level": 1, "ruler": Ruler.AFTER}),
        (None, {"metric": K_EFF, "level": 1}),
        (None, {"metric": K_EFF, "eta": 0.5}),
        (None, {"metric": K_EFF, "level": 1, "eta": 0.2}),
    ],
)
def test_a_figure_is_found_by_all_that_it_was_measured_by(value, asked):
    assert METRICS.value(**asked) == value


def test_a_figure_comes_with_its_standard_error():
    assert METRICS.row(K_EFF, 1, eta=0.5) == ROWS[5]
    assert METRICS.row(GINI, 3) is None


def test_levels_stand_in_order_with_gaps():
    assert METRICS.per_level(GINI, 3) == [None, 0.2, None]
    assert METRICS.per_level(K_EFF, 3, eta=0.5) == [10.0, 20.0, None]


def test_rulers_stand_in_the_order_asked_then_by_noise_then_by_level():
    assert METRICS.by_ruler(K_EFF, Ruler.INPUT, Ruler.LATENT) == [ROWS[7], ROWS[6], ROWS[5], ROWS[4]]
    assert METRICS.by_ruler(K_EFF, Ruler.AFTER, Ruler.INPUT) == [ROWS[3], ROWS[7]]
    assert METRICS.by_ruler(K_EFF, Ruler.LATENT, weighting=EXPOSURE) == [ROWS[8]]
    assert METRICS.by_ruler(GINI, Ruler.LATENT) == []


def test_people_ask_by_name():
    assert METRICS.metric("gini", level=2) == 0.2
    assert METRICS.metric("effective_capacity", 1, eta=0.5) == 10.0
    assert METRICS.metric("effective_capacity", 1, eta=0.5, ruler="input") == 5.0
    assert METRICS.metric("gini", 1, weighting=EXPOSURE) == 0.9


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"name": "ginni"}, "no figure is called 'ginni': did you mean 'gini'?"),
        ({"name": "gini", "ruler": "inputs"}, "no ruler is called 'inputs': did you mean 'input'?"),
        ({"name": "gini"}, r"no gini \(level=0, weighting='items'\): there are gini \(level=2, weighting='items'\)"),
        ({"name": "effective_capacity", "level": 1}, r"(effective_capacity \(level=1[^;]*\)(; )?){3} and 3 more$"),
        ({"name": "churn"}, "these figures have no churn"),
    ],
)
def test_a_figure_that_is_not_there_is_told_with_those_that_are(asked, says):
    with pytest.raises(ConfigError, match=says):
        METRICS.metric(**asked)


def test_all_rows_are_there_but_those_that_are_not_finite():
    assert METRICS.rows == [row for row in ROWS if math.isfinite(row.value)]
