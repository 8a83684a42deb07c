"""Ranks from parts against one plain sort of everything, and ties against all the orders that they may have."""

from __future__ import annotations

import doctest
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drq_spark.formulas import ranking

SCORES = st.lists(st.sampled_from([-0.5, 0.0, 0.25, 0.5, 1.0]), min_size=1, max_size=6)
TIMELESS = settings(deadline=None)


def test_examples():
    assert doctest.testmod(ranking).attempted >= 6
    assert doctest.testmod(ranking).failed == 0


def in_top(scores, place, k):
    """Share of all orders of the candidates, then sorted by score alone, that put one among the first k."""
    orders = list(permutations(range(len(scores))))
    tops = [sorted(order, key=lambda item: -scores[item])[:k] for order in orders]
    return sum(place in top for top in tops) / len(orders)


class TestTies:
    @TIMELESS
    @given(SCORES, st.data())
    def test_the_chance_of_a_hit_is_that_over_all_orders(self, scores, data):
        target = data.draw(st.integers(0, len(scores) - 1))
        k = data.draw(st.integers(1, len(scores)))
        better = np.array([sum(score > scores[target] for score in scores)], float)
        ties = np.array([scores.count(scores[target])], float)
        assert ranking.hits(better, ties, k)[0] == pytest.approx(in_top(scores, target, k), abs=1e-12)

    @TIMELESS
    @given(SCORES, st.data())
    def test_the_chance_of_every_candidate_is_that_over_all_orders(self, scores, data):
        k = data.draw(st.integers(1, len(scores)))
        query = np.zeros(len(scores), np.int64)
        _, score, weight = ranking.tied_weights(query, np.array(scores), np.ones(len(scores)), k)
        chances = ranking.chance_in_top(np.array(scores), score, weight, k)
        assert chances == pytest.approx([in_top(scores, place, k) for place in range(len(scores))], abs=1e-12)
        assert chances.sum() == pytest.approx(k)

    def test_rounding_makes_no_difference_and_float32_does(self):
        exact, rounded, apart = 0.3, 0.1 + 0.2, 0.3 + 1e-7
        query, key = np.zeros(3, np.int64), np.array([3, 1, 2])
        assert ranking.best(query, np.array([exact, rounded, apart]), key, 3).tolist() == [2, 1, 0]
        assert ranking.best(query, np.array([rounded, exact, apart]), key, 3).tolist() == [2, 1, 0]

    def test_the_query_itself_is_no_candidate(self):
        scores, target = np.array([1.0, 1.0, 0.5, 0.0]), np.array([1.0, 0.5, 0.0])
        better = (scores > target[:, None]).sum(axis=1).astype(float)
        ties = (scores == target[:, None]).sum(axis=1).astype(float)
        found = ranking.without_self(better, ties, target, np.ones(3))
        assert [part.tolist() for part in found] == [[0.0, 1.0, 2.0], [1.0, 1.0, 1.0]]
        zero = ranking.without_self(np.array([0.0, 2.0]), np.array([4.0, 2.0]), np.array([0.0, -0.5]), np.zeros(2))
        assert [part.tolist() for part in zero] == [[0.0, 1.0], [3.0, 2.0]]


@st.composite
def candidates(draw):
    """Query, score, key and weight of some candidates, and the part that each is in."""
    rows = draw(st.integers(0, 60))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    score = random.integers(-3, 4, rows) / 4
    return (
        random.integers(0, 3, rows),
        score,
        random.permutation(rows),
        random.integers(1, 4, rows) * 1.0,
        (random.integers(0, draw(st.integers(1, 4)), rows)),
    )


class TestParts:
    @TIMELESS
    @given(candidates(), st.integers(1, 8))
    def test_the_best_of_the_best_are_those_of_one_plain_sort(self, given_rows, keep):
        query, score, key, _, part = given_rows
        kept = []
        for number in np.unique(part):
            rows = np.flatnonzero(part == number)
            kept.extend(rows[ranking.best(query[rows], score[rows], key[rows], keep)].tolist())
        kept = np.array(kept, int)
        found = kept[ranking.best(query[kept], score[kept], key[kept], keep)]
        expected = []
        for number in range(3):
            rows = sorted(np.flatnonzero(query == number).tolist(), key=lambda row: (-score[row], key[row]))
            expected += rows[:keep]
        assert found.tolist() == expected

    @TIMELESS
    @given(candidates(), st.integers(1, 8))
    def test_the_ties_of_the_ties_are_those_of_all(self, given_rows, keep):
        query, score, _, weight, part = given_rows
        parts = [
            ranking.tied_weights(query[part == number], score[part == number], weight[part == number], keep)
            for number in range(4)
        ]
        merged = ranking.tied_weights(*(np.concatenate(column) for column in zip(*parts, strict=True)), keep)
        expected = []
        for number in range(3):
            ahead = 0.0
            for value in sorted(set(score[query == number].tolist()), reverse=True):
                total = weight[(query == number) & (score == value)].sum()
                if ahead < keep:
                    expected.append((number, value, total))
                ahead += total
        assert list(zip(*(column.tolist() for column in merged), strict=True)) == expected

    @TIMELESS
    @given(candidates(), st.integers(1, 8))
    def test_nothing_below_the_cut_is_among_the_best(self, given_rows, keep):
        query, score, key, _, _ = given_rows
        rows = ranking.best(query, score, key, keep)
        cut = ranking.cuts(query[rows], score[rows], np.ones(len(rows)), keep, 3)
        for number in range(3):
            own = sorted(score[query == number].tolist(), reverse=True)
            assert cut[number] == (own[keep - 1] if len(own) >= keep else -np.inf)
