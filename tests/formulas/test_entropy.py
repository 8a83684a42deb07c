"""Entropies of cells against the definition, and what they say of attributes that tell something or nothing."""

from __future__ import annotations

import doctest
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from measure.chains import cell_sizes, entropy, g, gains

from drq_spark.formulas import entropy as e

COUNTS = st.lists(st.integers(1, 3000), min_size=1, max_size=12)
LABELS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.sampled_from(["x", "y", None])), min_size=1)
TIMELESS = settings(deadline=None)


def test_worked_examples():
    assert doctest.testmod(e).attempted >= 2
    assert doctest.testmod(e).failed == 0


def test_counts_by_hand():
    # 3 items alone and one pair: G(1) = -gamma - ln 2, G(2) = 2 + G(1)
    counted = cell_sizes([1, 1, 1, 2])
    first = -np.euler_gamma - math.log(2)
    assert counted.items == 5
    assert e.plug_in_entropy(counted) == pytest.approx(math.log(5) - 2 * math.log(2) / 5)
    assert e.grassberger_entropy(counted) == pytest.approx(math.log(5) - (3 * first + 2 * (2 + first)) / 5)


def test_without_items_there_is_no_entropy():
    for estimate in e.ESTIMATORS.values():
        assert math.isnan(estimate(cell_sizes([])))


@TIMELESS
@given(COUNTS)
def test_both_are_their_definition(counts):
    labels = [cell for cell, count in enumerate(counts) for _ in range(count)]
    for name, estimate in e.ESTIMATORS.items():
        assert estimate(cell_sizes(counts)) == pytest.approx(entropy(labels, name), abs=4e-7), name
        whole = cell_sizes(counts, exact_below=10_000)  # every cell by its exact size
        assert estimate(whole) == pytest.approx(entropy(labels, name), abs=1e-9), name


@TIMELESS
@given(COUNTS, st.integers(2, 5))
def test_cells_have_no_names_and_the_shares_alone_count(counts, times):
    turned = cell_sizes(counts[::-1])
    for estimate in e.ESTIMATORS.values():
        assert estimate(turned) == pytest.approx(estimate(cell_sizes(counts)), abs=1e-12)
    scaled = cell_sizes([count * times for count in counts])
    assert e.plug_in_entropy(scaled) == pytest.approx(e.plug_in_entropy(cell_sizes(counts)), abs=1e-9)


def test_sums_stand_for_large_cells_within_the_stated_error():
    sizes = np.array([*range(1000, 3000), 9_999, 10_000, 123_456, 10**7 + 1])
    for n in sizes.tolist():
        if n > 20_000:
            continue
        one_cell = cell_sizes([n])
        off = (n * g(n) - (one_cell.large_n_log_n - one_cell.large_odd)) * n
        assert abs(off) < 1 / 3 + 1e-4, n
    worst = cell_sizes([1000] * 7)
    assert abs(e.grassberger_entropy(worst) - entropy([i // 1000 for i in range(7000)], "grassberger")) < 3.4e-7
    # and it is not the plain sum of n ln n that could stand there
    odd = cell_sizes([1001] * 7)
    exact = entropy([i // 1001 for i in range(7007)], "grassberger")
    assert abs(e.plug_in_entropy(odd) - exact) > 9e-4
    assert abs(e.grassberger_entropy(odd) - exact) < 3.4e-7


@TIMELESS
@given(LABELS, st.permutations(range(4)), st.permutations(["x", "y", None]))
def test_gains_do_not_depend_on_names(labels, code_names, attribute_names):
    """The reference that Spark is compared with: other names for codes and attributes, other order of the rows."""
    codes, attributes = [(a, b) for a, b, _ in labels], [(c,) for _, _, c in labels]
    renamed = dict(zip(["x", "y", None], attribute_names, strict=True))
    other_codes = [(code_names[a], code_names[b]) for a, b in codes][::-1]
    other_attributes = [(renamed[c],) for (c,) in attributes][::-1]
    for name in e.ESTIMATORS:
        mine = gains(codes, attributes, name, lambda group, step, level: group)
        others = gains(other_codes, other_attributes, name, lambda group, step, level: group)
        for at, values in mine.items():
            assert values == pytest.approx(others[at], abs=1e-9)
            assert values[2] == pytest.approx(values[1], abs=1e-12)  # permuted in place is not permuted
            assert name == "grassberger" or values[1] >= -1e-12


def conditional(estimate, *labels):
    """H(last | all others) of integer labels [n]."""
    whole = np.stack(labels, axis=1)
    longer, shorter = (np.unique(part, axis=0, return_counts=True)[1] for part in (whole, whole[:, :-1]))
    return estimate(cell_sizes(longer)) - estimate(cell_sizes(shorter))


def permuted(random, groups, values):
    """The values in random order within each group."""
    places, order = np.argsort(groups, kind="stable"), np.lexsort((random.random(len(values)), groups))
    drawn = np.empty_like(values)
    drawn[places] = values[order]
    return drawn


@pytest.fixture(scope="module")
def repeated():
    """estimator -> [60, 2]: gain and permuted gain at level 2 of a category of 10 that says nothing of the codes.

    About 8 items have the same codes.
    """
    random = np.random.default_rng(0)
    found = {name: [] for name in e.ESTIMATORS}
    for _ in range(60):
        first, second, category = (random.integers(kinds, size=2000) for kinds in (16, 16, 10))
        by_lot = permuted(random, first, category)
        for name, estimate in e.ESTIMATORS.items():
            before = conditional(estimate, first, second)
            gain = before - conditional(estimate, first, category, second)
            found[name].append((gain, before - conditional(estimate, first, by_lot, second)))
    return {name: np.array(values) for name, values in found.items()}


class TestIndependentAttributes:
    def test_the_counted_gain_is_well_above_0(self, repeated):
        assert repeated["plug_in"][:, 0].min() > 0.3  # of at most ln 16 = 2.8 nats

    def test_the_corrected_gain_is_much_nearer_to_0(self, repeated):
        plug_in, corrected = (abs(repeated[name][:, 0].mean()) for name in ("plug_in", "grassberger"))
        assert corrected < plug_in / 4

    @pytest.mark.parametrize("name", e.ESTIMATORS)
    def test_the_permuted_gain_is_the_counted_one_within_noise(self, repeated, name):
        gain, by_chance = repeated[name].T
        difference = gain - by_chance
        assert abs(difference.mean()) < 4 * difference.std(ddof=1) / math.sqrt(len(difference))
        assert difference.std(ddof=1) < gain.mean() / 10 or name == "grassberger"
        # the same distribution: either is the larger one about equally often (binomial, 4 standard deviations)
        assert abs((difference > 0).sum() - 30) < 4 * math.sqrt(15)


class TestTellingAttributes:
    def test_an_attribute_that_is_the_code_gains_all_of_it(self):
        first = np.random.default_rng(1).integers(8, size=500)
        for estimate in e.ESTIMATORS.values():
            own = conditional(estimate, np.zeros_like(first), first)
            assert conditional(estimate, np.zeros_like(first), first, first) == 0
            all_codes, all_items = (estimate(cell_sizes(counts)) for counts in (np.bincount(first), [500]))
            assert own == pytest.approx(all_codes - all_items)

    def test_parts_leave_one_in_so_many_of_the_true_gain(self):
        """Permuted in parts of m items, an attribute that is the code keeps at most H / m, and what chance makes."""
        random = np.random.default_rng(2)
        kept = {m: [] for m in (20, 4000)}
        for _ in range(20):
            code = random.integers(4, size=4000)
            for m, values in kept.items():
                drawn = permuted(random, random.permutation(4000) // m, code)
                before = conditional(e.plug_in_entropy, 0 * code, code)
                values.append(before - conditional(e.plug_in_entropy, drawn, code))
        whole, parts = np.mean(kept[4000]), np.mean(kept[20])
        assert whole < parts < whole + math.log(4) / 20
