"""Figures against hand-checked cases, slow obvious references, and the properties that their definitions promise."""

from __future__ import annotations

import doctest
import math
from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from drq_spark.formulas import duplicates, entropy, noise, overlap, ratios, reconstruction, renaming, usage
from drq_spark.formulas.duplicates import (
    collision_mass,
    different_rows,
    duplicate_rate,
    exact_duplicate_rate,
    excess_duplicate_rate,
    shared_rate,
)
from drq_spark.formulas.entropy import conditional_entropies, entropy_from_sums
from drq_spark.formulas.overlap import (
    codeword_overlap,
    effective_capacity,
    expected_overlap,
    expected_overlaps,
    geometry,
)
from drq_spark.formulas.ratios import ratio
from drq_spark.formulas.reconstruction import centred_square_sum, relative_mse, residual_share
from drq_spark.formulas.renaming import churn, churn_matched
from drq_spark.formulas.usage import dead_codes, distribution, gini, inverse_simpson, perplexity, utilization

COUNTS = st.lists(st.integers(0, 1000), min_size=1, max_size=12).filter(any).map(np.array)
EXPOSURE = st.lists(st.floats(0, 1e6), min_size=1, max_size=12).map(np.array).filter(lambda c: c.sum() > 1e-6)
SIGMA = st.floats(0, 10)
TIMELESS = settings(deadline=None)  # the first call of a figure may take long on a busy machine


def codebooks(codes: int, dim: int = 3) -> st.SearchStrategy[np.ndarray]:
    """Codebooks with many coinciding codewords, since coordinates are few."""
    return hnp.arrays(np.float32, (codes, dim), elements=st.sampled_from([-2.0, -0.5, 0.0, 0.5, 1.0, 1.0009765625]))


def slow_overlap(counts: np.ndarray, codebook: np.ndarray, sigma: float) -> float:
    """The definition, pair by pair, with Phi from the standard library."""
    total = 0.0
    for i, first in enumerate(codebook.tolist()):
        for j, second in enumerate(codebook.tolist()):
            apart = math.dist(first, second)
            overlap = 1.0 if apart == 0 else 0.0 if sigma == 0 else 1 + math.erf(-apart / (2 * sigma) / math.sqrt(2))
            total += counts[i] / counts.sum() * counts[j] / counts.sum() * overlap
    return total


@pytest.mark.parametrize("module", [duplicates, entropy, noise, overlap, ratios, reconstruction, renaming, usage])
def test_worked_examples(module):
    result = doctest.testmod(module)
    assert result.attempted >= 1
    assert result.failed == 0


def test_four_codes_by_hand():
    counts = np.array([4, 2, 2, 0])  # shares 1/2, 1/4, 1/4, 0
    assert utilization(counts) == 0.75
    assert dead_codes(counts) == 1
    assert perplexity(counts) == pytest.approx(2**1.5)
    assert inverse_simpson(counts) == pytest.approx(1 / (1 / 4 + 1 / 16 + 1 / 16))
    assert gini(counts) == pytest.approx((-3 * 0 - 1 * 2 + 1 * 2 + 3 * 4) / (4 * 8))


def test_nothing_counted_has_no_shares():
    nothing = np.zeros(4, np.int64)
    assert utilization(nothing) == 0
    assert dead_codes(nothing) == 4
    for figure in (perplexity, inverse_simpson, gini, distribution):
        assert math.isnan(figure(nothing)), figure
    assert math.isnan(expected_overlap(nothing, np.eye(4), 1.0))


@pytest.mark.parametrize("counts", [np.array([]), np.array([1, -1]), np.array([1.0, np.nan]), np.ones((2, 2))])
def test_refuses_what_is_not_counts(counts):
    for figure in (utilization, dead_codes, perplexity, inverse_simpson, gini):
        with pytest.raises(ValueError, match="counts must be"):
            figure(counts)


@TIMELESS
@given(COUNTS)
def test_gini_is_the_mean_difference(counts):
    """Mean |n_i - n_j| over all ordered pairs, over twice the mean."""
    pairs = sum(abs(a - b) for a in counts.tolist() for b in counts.tolist()) / len(counts) ** 2
    assert gini(counts) == pytest.approx(pairs / (2 * counts.mean()), abs=1e-12)
    assert 0 <= gini(counts) < 1


@TIMELESS
@given(st.one_of(COUNTS, EXPOSURE))
def test_diversities_are_ordered(counts):
    """Hill numbers fall with their order: 1 <= order 2 <= order 1 <= order 0 = used codes <= K."""
    used = len(counts) - dead_codes(counts)
    values = [1.0, inverse_simpson(counts), perplexity(counts), float(used), float(len(counts))]
    assert all(low <= high * (1 + 1e-9) for low, high in pairwise(values))
    assert 0 <= gini(counts) < 1


def test_even_use_has_no_penalty():
    counts = np.full(7, 0.1)
    assert gini(counts) == pytest.approx(0, abs=1e-15)
    assert distribution(counts) == pytest.approx(1)
    assert perplexity(counts) == pytest.approx(7)


def test_overlap_of_two_codewords():
    table = {0.0: 1.0, 1.0: 0.617075, 2.0: 0.317311, 4.0: 0.045500, 6.0: 0.002700}  # 2 Phi(-d / 2), normal tables
    assert codeword_overlap(list(table), 1.0) == pytest.approx(list(table.values()), abs=1e-6)
    assert codeword_overlap([0.0, 1e-30, 1.0], 0.0).tolist() == [1.0, 0.0, 0.0]
    assert codeword_overlap(0.0, 5.0) == 1.0


@pytest.mark.parametrize("sigma", [-1.0, math.nan])
def test_sigma_is_a_scale(sigma):
    with pytest.raises(ValueError, match="sigma"):
        codeword_overlap(1.0, sigma)


def test_the_codebook_must_fit_the_counts():
    with pytest.raises(ValueError, match=r"\[2, d\]"):
        expected_overlap(np.array([1, 1]), np.zeros((3, 2)), 1.0)


@TIMELESS
@given(st.data(), st.one_of(COUNTS, EXPOSURE), SIGMA)
def test_expected_overlap_is_the_double_sum(data, counts, sigma):
    codebook = data.draw(codebooks(len(counts)))
    assert expected_overlap(counts, codebook, sigma) == pytest.approx(slow_overlap(counts, codebook, sigma), rel=1e-9)


@TIMELESS
@given(st.data(), st.one_of(COUNTS, EXPOSURE), SIGMA)
def test_capacity_lies_between_one_and_the_inverse_simpson_index(data, counts, sigma):
    overlap = expected_overlap(counts, data.draw(codebooks(len(counts))), sigma)
    capacity = effective_capacity(overlap)
    assert 1 <= capacity <= inverse_simpson(counts) * (1 + 1e-12)
    assert inverse_simpson(counts) <= len(counts) * (1 + 1e-12)
    assert len(counts) * distribution(counts) * geometry(counts, overlap) == pytest.approx(capacity)
    assert 0 < geometry(counts, overlap) <= 1 + 1e-12


@TIMELESS
@given(st.data(), COUNTS, SIGMA)
def test_capacity_does_not_depend_on_labels_or_unused_codes(data, counts, sigma):
    codebook = data.draw(codebooks(len(counts)))
    order = np.array(data.draw(st.permutations(range(len(counts)))))
    here = expected_overlap(counts, codebook, sigma)
    assert expected_overlap(counts[order], codebook[order], sigma) == pytest.approx(here)
    more = np.append(counts, 0), np.vstack([codebook, codebook[:1]])
    assert expected_overlap(*more, sigma) == pytest.approx(here)


@TIMELESS
@given(st.data(), COUNTS, SIGMA)
def test_splitting_a_code_into_equal_twins_changes_nothing(data, counts, sigma):
    """Leinster & Cobbold: identical species count as one."""
    codebook = data.draw(codebooks(len(counts)))
    twins = np.append(counts[:-1] * 2, [counts[-1], counts[-1]]), np.vstack([codebook, codebook[-1:]])
    assert expected_overlap(*twins, sigma) == pytest.approx(expected_overlap(counts, codebook, sigma))


def test_without_perturbation_coinciding_codewords_are_one():
    codebook = np.array([[0, 0], [0, 0], [3, 4]], np.float32)
    assert expected_overlap(np.array([1, 1, 2]), codebook, 0.0) == pytest.approx(0.5)
    assert expected_overlap(np.array([1, 1, 2]), np.array([[0], [1], [2]]), 0.0) == pytest.approx(6 / 16)


def test_nearly_equal_codewords_far_from_the_origin():
    """|a|^2 + |b|^2 - 2 a.b has no digit left here; the true distances are 1 and 2 units in the last place."""
    step = np.float32(2.0**-10)
    codebook = np.float32(2.0**13) + np.array([[0.0], [step], [3 * step], [-(2.0**13)]], np.float32)
    counts, sigma = np.array([1, 1, 1, 1]), float(step)
    slow = slow_overlap(counts, codebook, sigma)
    assert expected_overlap(counts, codebook, sigma) == pytest.approx(slow, rel=1e-12)
    same = np.full((50, 40), 1e18, np.float32)
    assert expected_overlap(np.ones(50), same, 1e-12) == 1.0


def test_blocks_do_not_show(monkeypatch):
    rng = np.random.default_rng(5)
    codebook, counts = rng.normal(size=(37, 6)).astype(np.float32), rng.integers(0, 9, 37)
    whole = expected_overlap(counts, codebook, 0.7)
    monkeypatch.setattr(overlap, "_TILE_ELEMENTS", 30)  # 5 codewords a block
    assert expected_overlap(counts, codebook, 0.7) == pytest.approx(whole, rel=1e-13)


def test_many_weightings_and_scales_at_once():
    rng = np.random.default_rng(6)
    codebook, items, exposure = rng.normal(size=(20, 4)), rng.integers(0, 3, 20), rng.random(20)
    table = expected_overlaps([items, exposure], codebook, [0.0, 0.3, 2.0])
    assert table.shape == (2, 3)
    for row, counts in zip(table, (items, exposure), strict=True):
        assert row == pytest.approx([expected_overlap(counts, codebook, sigma) for sigma in (0.0, 0.3, 2.0)])
    assert (np.diff(table) >= 0).all()  # more blur, more overlap


def test_entropies():
    counts = np.array([5, 3, 1])
    direct = -sum(n / 9 * math.log(n / 9) for n in (5, 3, 1))
    assert entropy_from_sums(9, float((counts * np.log(counts)).sum())) == pytest.approx(direct)
    assert math.exp(direct) == pytest.approx(perplexity(counts))
    assert entropy_from_sums(1, 0.0) == 0
    assert math.isnan(entropy_from_sums(0, 0.0))


@TIMELESS
@given(hnp.arrays(np.int64, (3, 4), elements=st.integers(0, 20)).filter(np.any))
def test_conditional_entropy_is_the_mean_entropy_inside_a_prefix(table):
    """Rows are first codes, columns second codes."""

    def entropy(counts: np.ndarray) -> float:
        present = counts[counts > 0]
        return entropy_from_sums(float(present.sum()), float((present * np.log(present)).sum()))

    first, both = entropy(table.sum(axis=1)), entropy(table.ravel())
    inside = sum(row.sum() / table.sum() * entropy(row) for row in table if row.any())
    assert conditional_entropies([first, both]) == pytest.approx([first, inside], abs=1e-9)


def test_conditional_entropy_is_never_negative_and_keeps_nan():
    assert conditional_entropies([1.0, 1.0 - 1e-16])[1] == 0
    assert math.isnan(conditional_entropies([math.nan])[0])


@TIMELESS
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2)), min_size=1, max_size=30))
def test_collision_rates_from_a_list_of_items(items):
    """Item = (SID, variant of the embedding): equal pairs are exact duplicates."""
    sids = [sid for sid, _ in items]
    n, unique, distinct = len(items), len(set(sids)), len(set(items))
    shared = sum(sids.count(sid) > 1 for sid in sids)
    squares = sum(sids.count(sid) for sid in sids)
    assert duplicate_rate(unique, n) == pytest.approx((n - unique) / n)
    assert shared_rate(shared, n) >= duplicate_rate(unique, n)
    assert collision_mass(squares, n) == pytest.approx(sum(a == b for a in sids for b in sids) / n**2)
    parts = exact_duplicate_rate(distinct, n) + excess_duplicate_rate(unique, distinct, n)
    assert parts == pytest.approx(duplicate_rate(unique, n), abs=1e-12)


def test_no_items_no_rates():
    rates = [duplicate_rate(0, 0), shared_rate(0, 0), collision_mass(0, 0), exact_duplicate_rate(0, 0)]
    assert all(map(math.isnan, [*rates, excess_duplicate_rate(0, 0, 0), ratio(0, 0)]))


def test_centred_squares_from_sums_about_any_reference():
    rng = np.random.default_rng(7)
    x = rng.normal(size=(50, 3)) + 100
    reference = x[0]
    direct = float(np.square(x - x.mean(axis=0)).sum())
    away = x - reference
    assert centred_square_sum(float(np.square(away).sum()), away.sum(axis=0), 50) == pytest.approx(direct, rel=1e-12)
    assert centred_square_sum(1.0, np.array([1.0 + 1e-15]), 1) == 0
    assert math.isnan(centred_square_sum(0.0, np.zeros(3), 0))


def test_items_that_do_not_vary_have_no_relative_error():
    assert math.isnan(relative_mse(0.0, 0.0))
    assert math.isnan(relative_mse(1.0, 0.0))
    assert np.isnan(residual_share(np.array([1.0, 0.0]), 0.0)).all()


@TIMELESS
@given(hnp.arrays(np.int64, (4, 4), elements=st.integers(0, 9)).filter(np.any))
def test_matching_is_the_best_of_all_renamings(confusion):
    best = max(sum(confusion[i, j] for i, j in enumerate(order)) for order in permutations(range(4)))
    assert churn_matched(confusion) == pytest.approx(1 - best / confusion.sum())
    assert churn(confusion) == pytest.approx(1 - np.trace(confusion) / confusion.sum())
    assert churn_matched(confusion) <= churn(confusion)


def test_churn_between_codebooks_of_different_size():
    confusion = np.array([[5, 0, 0], [0, 0, 5]])
    assert churn(confusion) == 0.5
    assert churn_matched(confusion) == 0
    assert math.isnan(churn(np.zeros((2, 2), np.int64)))
    assert math.isnan(churn_matched(np.zeros((2, 2), np.int64)))


@given(codebooks(9))
@TIMELESS
def test_different_rows_are_those_that_a_set_holds(rows):
    first, group = different_rows(rows)
    assert len(first) == len({tuple(row) for row in rows.tolist()})
    assert (rows[first][group] == rows).all()
    assert all((rows[:index] != rows[index]).any(axis=1).all() for index in first)
    assert (np.diff(first) > 0).all()
