"""What multiplies decides no bit, as long as it multiplies in float32; and what does not is found out."""

from __future__ import annotations

import numpy as np
import pytest
from tokenizer.compared_searches import METRICS, check, levels_of
from tokenizer.hard_cases import HARD_CASES, random_case
from tokenizer.other_products import Backwards, HalfSums, LikeAGpu, Rounded, Worst

pytest.importorskip("numba")

from drq_spark.tokenizer.encoding import encode_in_numpy
from drq_spark.tokenizer.fast import score_tables
from drq_spark.tokenizer.fast.fast_search import FastSearch
from drq_spark.tokenizer.fast.products import NUMPY, multiplies_in_float32

pytestmark = pytest.mark.filterwarnings("error")
WITHIN = [Backwards(), Worst()]


@pytest.mark.parametrize("multiplier", WITHIN, ids=["another order", "the worst that float32 may do"])
@pytest.mark.parametrize("name", [case[0] for case in HARD_CASES])
def test_hard_data_gives_the_bits_of_numpy_whatever_multiplies(name, multiplier, monkeypatch):
    _, z, books = next(case for case in HARD_CASES if case[0] == name)
    for metric in METRICS:
        levels = levels_of(books, metric)
        for width in (1, 4):
            assert check(z, levels, width, multiplier).on_gpu == len(z)
        monkeypatch.setattr(score_tables, "TABLE_BYTES_BEAM", 0)
        monkeypatch.setattr(score_tables, "TABLE_BYTES_GREEDY", 0)
        for width in (1, 3):
            check(z, levels, width, multiplier)
        monkeypatch.undo()


def test_the_worst_products_are_decided_by_the_certificate():
    """The test can fail: without the bound codes would be those of the wrong scores."""
    z, books = random_case(400, 64, (80, 80))
    books = [np.concatenate([book * np.float32(1 + part * 3e-6) for part in range(3)]) for book in books]
    levels = levels_of(books, "plain")
    for width in (1, 4):
        usual = check(z, levels, width, Worst())
        assert usual.uncertain.max() > 100
        search = FastSearch(levels, width, Worst())
        for ranking in search._tables.levels:
            ranking.bound[:] = 0
        assert (search.codes(z) != usual.codes).any(axis=1).sum() > 20


def test_products_beyond_the_bound_would_give_wrong_codes():
    """Why a multiplier is looked at first: nothing else would show TF32."""
    z, books = random_case(3000, 64, (256, 256))
    levels = levels_of(books, "plain")
    search = FastSearch(levels, 1, Rounded())
    assert (search.codes(z) != encode_in_numpy(z, levels, 1).codes).any()


@pytest.mark.parametrize("dim", [1, 3, 64, 1000])
def test_a_multiplier_is_known_by_its_products(dim):
    for multiplier in (NUMPY, Backwards()):
        assert multiplies_in_float32(multiplier, dim)
    for multiplier in (Rounded(), Rounded(bits=8), Rounded(bits=16)):
        assert not multiplies_in_float32(multiplier, dim)


def test_sums_in_half_floats_are_found_out():
    assert not multiplies_in_float32(HalfSums(), 256)


def test_products_that_are_not_finite_are_found_out():
    class Broken(LikeAGpu):
        def multiplied(self, rows: np.ndarray, operand: np.ndarray) -> np.ndarray:
            return np.full((len(rows), operand.shape[1]), np.nan, np.float32)

    assert not multiplies_in_float32(Broken(), 8)


def test_a_tile_is_as_large_as_its_multiplier_says():
    """Rows that overflow, in tiles of a size that does not divide their number, with all levels in one product."""
    z, books = random_case(701, 20, (40, 30, 20))
    z[::5] *= np.float32(1e30)
    for rows in (1, 64, 700, 4096):
        check(z, levels_of(books, "plain"), 2, Backwards(rows=rows))
