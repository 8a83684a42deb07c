"""Segments of items, and figures of answers against plain loops."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from drq_spark.probe.behaviour_arrays import codes_and_suffixes, other_items
from drq_spark.probe.behaviour_data import NO_ITEM, Candidates, Questions, Sequences
from drq_spark.probe.downstream_figures import ranking_figures, recommendation_figures, segments_of

EVENTS = np.array([50, 20, 10, 10, 10, 0, 0])
TARGETS = np.array([0, 1, 5, 2, 0, 6], np.int32)
USERS = np.array([1, 1, 2, 3, 3, 4])


def candidates() -> Candidates:
    """Seven items, of which the last two are cold."""
    return Candidates(
        x=np.zeros((7, 2), np.float32),
        codes=np.zeros((7, 1), np.int32),
        codebook_sizes=(1,),
        suffix=np.arange(7),
        attributes=np.zeros((7, 0), np.int32),
        attribute_sizes=(),
        trained_events=EVENTS,
    )


def questions() -> Questions:
    """Six of four users."""
    return Questions(np.full((6, 3), NO_ITEM, np.int32), TARGETS, np.zeros((6, 2), np.int32), USERS)


def test_half_of_all_events_is_the_head() -> None:
    assert segments_of(candidates()).tolist() == ["head", *["tail"] * 4, "cold", "cold"]


def test_ranks_become_recall_and_gain_by_segment() -> None:
    found = {
        (figure.figure, figure.segment): figure
        for figure in recommendation_figures(np.array([0, 9, 10, -1, 49, 3]), questions(), candidates())
    }
    assert found["recall_10", "all"].value == pytest.approx(3 / 6)
    assert found["recall_50", "all"].value == pytest.approx(5 / 6)
    assert found["recall_50", "head"].value == 1.0
    assert found["recall_10", "head"].questions == 2
    assert found["recall_10", "cold"].value == pytest.approx(1 / 2)
    assert found["ndcg_10", "all"].value == pytest.approx((1 + 1 / np.log2(11) + 1 / np.log2(5)) / 6)
    by_user = [np.array([1, 1]), np.array([0]), np.array([0, 0]), np.array([1])]
    squares = sum(float((values - 0.5).sum()) ** 2 for values in by_user) / 6**2
    assert found["recall_10", "all"].standard_error == pytest.approx(np.sqrt(4 / 3 * squares))


def test_scores_become_areas_and_losses() -> None:
    scores = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    scores[0, 1] = scores[0, 0]
    found = {(figure.figure, figure.segment): figure for figure in ranking_figures(scores, questions(), candidates())}

    def area(rows: np.ndarray) -> float:
        others = scores[rows, 1:].reshape(-1)
        return float(np.mean([(came > other) + 0.5 * (came == other) for came in scores[rows, 0] for other in others]))

    by_user = sum((user == USERS).sum() * area(np.flatnonzero(user == USERS)) for user in np.unique(USERS)) / 6
    assert found["gauc", "all"].value == pytest.approx(by_user)
    assert found["auc", "all"].value == pytest.approx(area(np.arange(6)))
    likely = 1 / (1 + np.exp(-scores.astype(np.float64)))
    loss = -(np.log(likely[:, 0]) + np.log(1 - likely[:, 1:]).mean(axis=1)).mean() / 2
    assert found["log_loss", "all"].value == pytest.approx(loss)
    assert found["auc", "cold"].value == pytest.approx(area(np.array([2, 5])))
    assert found["auc", "cold"].questions == 2


def test_other_items_are_met_as_often_as_in_training_and_are_cold_beside_a_cold_one() -> None:
    target = np.array([0] * 5000 + [5] * 100, np.int32)
    others = other_items(target, EVENTS, 0)
    beside_warm, beside_cold = others[:5000], others[5000:]
    assert (others != target[:, None]).all()
    share = np.bincount(beside_warm.reshape(-1), minlength=7) / beside_warm.size
    assert share == pytest.approx([0, 0.4, 0.2, 0.2, 0.2, 0, 0], abs=0.01)
    assert set(beside_cold.reshape(-1)) == {6}


def test_items_of_one_sid_are_numbered_from_0_whatever_their_suffixes() -> None:
    rows = pa.table(
        {"codes": [[1, 2], [0, 0], [1, 2], [1, 2], [0, 1]], "suffix": pa.array([0, 9, 7, 0, 0], pa.int32())}
    )
    codes, numbers = codes_and_suffixes(rows, 2)
    assert codes.tolist() == rows["codes"].to_pylist()
    assert numbers.tolist() == [0, 0, 2, 1, 0]


def test_windows_have_every_step_once() -> None:
    sequences = Sequences(np.array([0, 1, 8, 10]), np.arange(10, dtype=np.int32))
    windows = sequences.windows(4)
    steps = sorted((row[n], row[n + 1]) for row in windows for n in range(3) if row[n] != NO_ITEM)
    assert steps == [*[(n, n + 1) for n in range(1, 7)], (8, 9)]
