"""Figures of an array: by hand, beside slow loops, and what is refused. Whole runs say the same in test_nights."""

from __future__ import annotations

import math

import numpy as np
import pytest

from drq_spark import Tokenizer, figures
from drq_spark.errors import ConfigError, InputRefused

BOOKS = (np.array([[0.0, 0.0], [8.0, 0.0]], np.float32), np.array([[0.0, 1.0], [0.0, -1.0]], np.float32))
TOKENIZER = Tokenizer("ready", 2, "none", BOOKS, latent_rms=(1.0, 1.0))


def test_figures_by_hand():
    """SIDs 00 00 01 10: the first two rows are equal, the third row has the first code of both."""
    x = [[0.0, 1.5], [0.0, 1.5], [-0.0, -1.0], [8.0, 1.0]]
    found = figures(TOKENIZER, x)
    assert [found.metric(name) for name in ("items", "unique_sids", "duplicate_rate", "shared_rate")] == [
        4,
        3,
        0.25,
        0.5,
    ]
    assert [found.metric(f"{kind}_duplicate_rate") for kind in ("exact", "excess")] == [0.25, 0.0]
    assert found.metric("harmful_shared_rate") == 0
    assert [found.metric("occupied_prefixes", level) for level in (1, 2)] == [2, 3]
    assert found.metric("utilization", 1) == 1
    assert found.metric("perplexity", 1) == pytest.approx(np.exp(-0.75 * np.log(0.75) - 0.25 * np.log(0.25)))
    rows = np.array(x)
    whole = np.square(rows - rows.mean(axis=0)).sum()
    assert found.metric("relative_mse") == pytest.approx(2 * 0.25 / whole)
    assert found.metric("effective_capacity", 1, eta=0.5) == pytest.approx(1 / (0.75**2 + 0.25**2))


X = [[0.0, 1.5], [0.0, 1.5], [0.0, -1.0], [8.0, 1.0]]
"""Rows with the SIDs 00 00 01 10."""


def test_figures_by_exposure_by_hand():
    """The SIDs are shown 4, 1 and 3 times; one third of 8 is passed by the first item, two thirds by the last."""
    found = figures(TOKENIZER, X, exposure=[4, 0, 1, 3])

    def by(weighting, metric, level=0):
        return found.metric(metric, level, weighting=weighting)

    assert by("exposure", "perplexity", 1) == pytest.approx((8 / 5) ** (5 / 8) * (8 / 3) ** (3 / 8))
    assert by("exposure", "prefix_entropy", 2) == pytest.approx(np.log(8) - (4 * np.log(4) + 3 * np.log(3)) / 8)
    assert by("exposure", "collision_mass") == pytest.approx((16 + 1 + 9) / 64)
    assert by("exposure", "shared_rate") == by("exposure", "exact_duplicate_bucket_rate") == 4 / 8
    assert by("exposure", "harmful_shared_rate") == 0
    segments = ("head", "torso", "tail")
    assert [by(segment, "items") for segment in segments] == [1, 1, 2]
    assert [by(segment, "segment_threshold") for segment in segments[:2]] == [4, 3]
    assert [by(segment, "utilization", 1) for segment in segments] == [0.5, 0.5, 0.5]
    assert [by(segment, "utilization", 2) for segment in segments] == [0.5, 0.5, 1]
    assert [by(segment, "shared_rate") for segment in segments] == [1, 0, 0.5]


def test_items_that_are_never_shown_have_the_figures_of_no_exposure():
    assert figures(TOKENIZER, X, exposure=np.zeros(4)).rows == figures(TOKENIZER, X).rows


def slow_overlap(points: np.ndarray, share: np.ndarray, sigma: float) -> float:
    """O of SIDs at these points, by a double loop."""
    far = [[math.dist(a, b) for b in points.tolist()] for a in points.tolist()]
    overlap = [[math.erfc(d / (2 * math.sqrt(2) * sigma)) for d in row] for row in far]
    return sum(p * q * o for p, row in zip(share, overlap, strict=True) for q, o in zip(share, row, strict=True))


@pytest.mark.parametrize(("weighting", "share"), [("items", [2, 1, 1]), ("exposure", [4, 1, 3])])
def test_the_capacity_of_whole_sids_is_that_of_slow_loops(weighting, share):
    found = figures(TOKENIZER, X, exposure=[4, 0, 1, 3], settings={"measure.etas": [0.5, 1.0]})
    points, share = np.array([[0.0, 1.0], [0.0, -1.0], [8.0, 1.0]]), np.array(share) / sum(share)
    assert found.metric("distribution", weighting=weighting) == pytest.approx(1 / (4 * np.square(share).sum()))
    for sigma in (0.5, 1.0):
        overlap = slow_overlap(points, share, sigma)
        at = {"weighting": weighting, "eta": sigma}
        assert found.metric("expected_overlap", **at) == pytest.approx(overlap)
        assert found.metric("effective_capacity", **at) == pytest.approx(1 / overlap)
        assert found.metric("geometry", **at) == pytest.approx(np.square(share).sum() / overlap)


def test_of_too_many_sids_some_are_drawn_which_tell_how_well_they_estimate():
    rng = np.random.default_rng(5)
    x, exposure = rng.normal(size=(900, 4)).astype(np.float32), np.where(rng.random(900) < 0.2, 0, rng.pareto(2, 900))
    books = (x[:12], x[12:24] / 2, x[24:36] / 4)
    tokenizer = Tokenizer("ready", 4, "none", books, latent_rms=(0.5, 0.5, 0.5))

    def capacities(**more):
        found = figures(tokenizer, x, exposure=exposure, **more)
        assert found.metric("unique_sids") > 400
        return [row for row in found.rows if (row.metric, row.level, row.eta) == ("effective_capacity", 0, 1.0)]

    draws = {"measure.overlap_items": 300}
    exact = capacities()
    assert [row.weighting for row in exact] == ["items", "exposure"]
    assert [row.standard_error for row in exact] == [None, None]
    drawn = [capacities(seed=seed, settings=draws) for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    for rows in drawn:
        for row, truth in zip(rows, exact, strict=True):
            assert 0 < row.standard_error < 0.2 * truth.value
            assert abs(row.value - truth.value) < 4 * row.standard_error
    few = np.where(np.arange(900) < 100, 1.0, 0.0)
    by_exposure = [
        row
        for row in figures(tokenizer, x, exposure=few, settings=draws).rows
        if (row.metric, row.level, row.weighting) == ("effective_capacity", 0, "exposure")
    ]
    assert {row.standard_error for row in by_exposure} == {None}, "few SIDs are shown, and all of them are compared"


@pytest.mark.parametrize(
    ("exposure", "says"),
    [([1, 2], "exposure must be 4 numbers, one a row of x"), ([1, 2, 3, -1], "exposure must be numbers from 0")],
)
def test_exposure_that_is_none_is_refused(exposure, says):
    with pytest.raises(InputRefused, match=says):
        figures(TOKENIZER, X, exposure=exposure)


def test_zeros_of_both_signs_are_one_embedding():
    assert figures(TOKENIZER, [[0.0, 1.0], [-0.0, 1.0], [8.0, 1.0]]).metric("exact_duplicate_rate") == pytest.approx(
        1 / 3
    )


def slow_recall(tokenizer: Tokenizer, x: np.ndarray, k: int) -> float:
    """Mean share of the k nearest by x that are among the k nearest by x_hat, ties in expectation."""

    def cosines(rows, query):
        return rows @ rows[query] / (np.linalg.norm(rows, axis=1) * np.linalg.norm(rows[query]))

    rebuilt, shares = tokenizer.decode(tokenizer.codes(x)), []
    for query in range(len(x)):
        others = np.delete(np.arange(len(x)), query)
        near = others[np.argsort(-cosines(x, query)[others], kind="stable")[:k]]
        score = np.round(cosines(rebuilt, query), 9)
        cut = np.sort(score[others])[::-1][k - 1]
        above, at = (score[others] > cut).sum(), (score[others] == cut).sum()
        shares.append(sum(1.0 if score[row] > cut else (k - above) / at if score[row] == cut else 0.0 for row in near))
    return float(np.mean(shares)) / k


def test_neighbours_are_those_of_slow_loops():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 5)).astype(np.float32)
    tokenizer = Tokenizer("ready", 5, "none", (x[:4], x[4:7] / 2), latent_rms=(1.0, 1.0))
    found = figures(tokenizer, x)
    assert found.metric("neighbour_recall_20") == pytest.approx(slow_recall(tokenizer, x.astype(float), 20))
    assert "neighbour_recall_200" not in {row.metric for row in found.rows}, "no item has 200 others"


def test_drawn_queries_estimate_those_of_all_items_and_say_how_well():
    x = np.random.default_rng(1).normal(size=(400, 5)).astype(np.float32)
    tokenizer = Tokenizer("ready", 5, "none", (x[:8],), latent_rms=(1.0,))
    every = figures(tokenizer, x).metric("neighbour_recall_20")
    drawn = [figures(tokenizer, x, seed=seed, settings={"measure.neighbour_queries": 50}).rows for seed in (0, 0, 1)]
    estimates = [next(row for row in rows if row.metric == "neighbour_recall_20") for rows in drawn]
    assert estimates[0] == estimates[1] != estimates[2]
    for estimate in estimates:
        assert 0 < estimate.standard_error < 0.05
        assert abs(estimate.value - every) < 4 * estimate.standard_error


@pytest.mark.parametrize(
    ("x", "error", "says"),
    [
        ([0.0, 1.0], InputRefused, r"x must be a matrix with a row for each item, not an array of shape \(2,\)"),
        (np.empty((0, 2)), InputRefused, "x must be a matrix with a row for each item"),
        ([[0.0, 1.0, 2.0]], ValueError, "the tokenizer takes rows of 2 numbers"),
        ([[0.0, np.nan]], ValueError, "embeddings must be finite"),
    ],
)
def test_what_is_no_matrix_of_embeddings_is_refused(x, error, says):
    with pytest.raises(error, match=says):
        figures(TOKENIZER, x)


def test_a_setting_that_is_none_is_refused():
    with pytest.raises(ConfigError, match=r"measure\.neighbours"):
        figures(TOKENIZER, [[0.0, 1.0]], settings={"measure.neighbours": 5})
