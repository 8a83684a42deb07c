"""Whatever float32 says within its bound, what comes out is what float64 says."""

from __future__ import annotations

import numpy as np
import pytest

from drq_spark.arrays import F32, F64
from drq_spark.tokenizer.beam import search
from drq_spark.tokenizer.candidates import cheapest_candidates, lowest_columns, undecided_rows, within
from drq_spark.tokenizer.kernel import Level, nearest

ERROR = 0.3


def test_a_column_that_is_too_high_beside_one_that_is_too_low_is_a_candidate() -> None:
    """True costs 0, 1 and 0.9 with errors up to .15: the second and the third may change places by twice that."""
    scores = np.array([[0.0, 0.85, 1.05]], np.float32)
    columns, limit = lowest_columns(scores, np.array([0.15]), 2)
    assert columns.tolist() == [[0, 1]]
    assert undecided_rows(scores, limit, 2).tolist() == [0]
    chosen, cost = cheapest_candidates(within(scores, limit), 2, 1, lambda _, column: np.array([0.0, 1.0, 0.9])[column])
    assert (chosen.tolist(), cost.tolist()) == ([[0, 2]], [[0.0, 0.9]])


def test_a_column_beyond_twice_the_error_is_none() -> None:
    scores = np.array([[0.0, 0.85, 1.2]], np.float32)
    _, limit = lowest_columns(scores, np.array([0.15]), 2)
    assert undecided_rows(scores, limit, 2).tolist() == []


@pytest.mark.parametrize("wanted", [1, 2, 5])
def test_scores_stay_and_the_lowest_come_first(wanted: int) -> None:
    scores = np.random.default_rng(0).normal(size=(40, 9)).astype(np.float32)
    scores[3, :7] = np.inf  # of overflow: fewer columns than wanted can be told apart
    kept = scores.copy()
    columns, _ = lowest_columns(scores, np.zeros(40), wanted)
    assert np.array_equal(scores, kept)
    sure = np.arange(40) != 3
    assert np.array_equal(columns[sure], np.argsort(scores, axis=1)[sure, :wanted])


@pytest.fixture
def wrong_by_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scores that are off by all that the bound allows, up or down, and a bound that is as wide as the costs differ."""
    rng = np.random.default_rng(5)

    def scores(level: Level, centred: F64) -> F32:
        words = level.codewords * (1 if level.weight is None else level.weight.astype(np.float64)) - level.centre
        exact = (words * words).sum(axis=1) + level.price - 2 * centred @ words.T
        return np.asarray(exact + 0.999 * ERROR * rng.choice([-1, 1], exact.shape), np.float32)

    monkeypatch.setattr(Level, "scores", scores)
    monkeypatch.setattr(Level, "score_error", lambda _, norm: np.full_like(norm, ERROR))


def made(weighed: bool) -> tuple[F64, list[Level]]:
    """Rows, and levels with prices."""
    rng = np.random.default_rng(int(weighed))
    weight = rng.uniform(0.5, 1, 3).astype(np.float32) if weighed else None
    words = [(rng.normal(size=(12, 3)) / 2**level).astype(np.float32) for level in range(3)]
    return rng.normal(size=(400, 3)), [
        Level.prepare(book, rng.normal(size=12).astype(np.float32) / 4, weight) for book in words
    ]


@pytest.mark.usefixtures("wrong_by_the_bound")
@pytest.mark.parametrize("weighed", [False, True])
def test_the_nearest_codeword_is_that_of_float64(weighed: bool) -> None:
    rows, levels = made(weighed)
    codes = np.tile(np.arange(12), (len(rows), 1))
    costs = np.stack([levels[0].cost(rows, codes[:, code]) for code in range(12)], axis=1)
    found = nearest(rows, levels[0])
    assert np.array_equal(found.code, costs.argmin(axis=1))
    second = np.sort(costs, axis=1)[:, 1]
    distance = levels[0].square(rows, np.argsort(costs, axis=1)[:, 1])
    assert found.margin == pytest.approx((second - costs.min(axis=1)) / distance, rel=1e-6)


@pytest.mark.parametrize("weighed", [False, True])
def test_the_paths_of_a_beam_are_those_of_true_scores(weighed: bool, request: pytest.FixtureRequest) -> None:
    rows, levels = made(weighed)
    true = search(rows, levels, 3, keep=2)
    request.getfixturevalue("wrong_by_the_bound")
    found = search(rows, levels, 3, keep=2)
    for name in ("codes", "cost", "margin", "residual_square"):
        assert np.array_equal(getattr(found, name), getattr(true, name)), name
    assert found.uncertain.min() > 100
