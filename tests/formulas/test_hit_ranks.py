"""Ranks, hits and gains against loops over the lists."""

from __future__ import annotations

import math

import numpy as np
import pytest

from drq_spark.formulas.hit_ranks import ndcg_at, recall_at, target_ranks


@pytest.mark.parametrize("k", [1, 3, 8])
def test_against_loops(k):
    rng = np.random.default_rng(0)
    listed = np.stack([rng.permutation(20)[:8] for _ in range(50)]).astype(np.int32)
    target = rng.integers(0, 20, 50).astype(np.int32)
    hits, gains = [], []
    for row, wanted in zip(listed.tolist(), target.tolist(), strict=True):
        places = [place for place, item in enumerate(row[:k], start=1) if item == wanted]
        hits.append(float(len(places)))
        gains.append(sum(1 / math.log2(place + 1) for place in places))
    ranks = target_ranks(listed, target)
    assert 0 < sum(hits) < 50 or k == 1
    np.testing.assert_array_equal(recall_at(ranks, k), hits)
    np.testing.assert_allclose(ndcg_at(ranks, k), gains, rtol=1e-12)


def test_empty_lists_name_nothing():
    ranks = target_ranks(np.empty((3, 0), np.int32), np.arange(3, dtype=np.int32))
    assert recall_at(ranks, 10).tolist() == [0.0, 0.0, 0.0]
