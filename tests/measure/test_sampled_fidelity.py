"""Fidelity on a sample: that of all items where all are drawn, and near it within its error where some are."""

from __future__ import annotations

import numpy as np
import pytest
from tokenizer.samples import plain

from drq_spark.assign.assignment_worker import assign_rows
from drq_spark.formulas.reconstruction import centred_square_sum
from drq_spark.measure import sampled_fidelity as module
from drq_spark.measure.item_sample import ItemSample
from drq_spark.measure.sampled_fidelity import sampled_fidelity

TOKENIZER = plain(sizes=(8, 5, 4), weights=(np.ones(6, np.float32),) * 3)
X = np.random.default_rng(5).normal(size=(400, 6)).astype(np.float32)


def of_all() -> dict[tuple[str, int], float]:
    """The figures as the sums over all items give them."""
    totals = assign_rows(X, TOKENIZER).totals
    latent = centred_square_sum(totals.latent_square, totals.latent_offset, totals.items)
    found = {
        ("relative_mse", 0): totals.squared_error / centred_square_sum(totals.square, totals.offset, totals.items),
        ("mean_cosine", 0): totals.cosine / totals.items,
    }
    for level in range(3):
        found["residual_share", level + 1] = totals.residual_square[level] / latent
        found["mean_margin", level + 1] = totals.margin[level] / totals.items
    return found


def measured(x, *, whole):
    codes = TOKENIZER.encode(x).codes
    return {(row.metric, row.level): row for row in sampled_fidelity(ItemSample(codes, x, whole), TOKENIZER)}


def test_all_items_give_what_their_sums_give(monkeypatch):
    expected = of_all()
    for width in (10_000, 7):
        monkeypatch.setattr(
            module, "row_blocks", lambda rows, dim, width=width: [slice(s, s + width) for s in range(0, rows, width)]
        )
        found = measured(X, whole=True)
        assert {key: row.value for key, row in found.items()} == pytest.approx(expected, rel=1e-6)
        assert all(row.standard_error is None for row in found.values())


def test_some_items_come_near_within_their_error():
    expected, found = of_all(), measured(X[:150], whole=False)
    assert found.keys() == expected.keys()
    for key, row in found.items():
        assert 0 < abs(row.value - expected[key]) < 4 * row.standard_error


def test_items_that_were_moved_count_with_the_sids_they_have():
    codes = TOKENIZER.encode(X).codes
    codes[:7] = (codes[:7] + 1) % (8, 5, 4)
    found = {(row.metric, row.level): row.value for row in sampled_fidelity(ItemSample(codes, X, True), TOKENIZER)}
    assert found["relative_mse_encoded", 0] == pytest.approx(of_all()["relative_mse", 0])
    error = ((X - TOKENIZER.decode(codes)) ** 2).sum() / ((X - X.mean(axis=0)) ** 2).sum()
    assert found["relative_mse", 0] == pytest.approx(error, rel=1e-5)
    assert found["residual_share", 3] > of_all()["residual_share", 3]


def test_nothing_drawn_tells_nothing():
    assert measured(X[:0], whole=False) == {}
