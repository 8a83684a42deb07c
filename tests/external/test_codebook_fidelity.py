"""What codebooks of another system tell, on a sample: against plain loops, and standard errors by repetition."""

from __future__ import annotations

import math

import numpy as np
import pytest
from pipeline.catalogues import clustered
from pipeline.direct import ready_tokenizer

from drq_spark.blocks import row_blocks
from drq_spark.external.codebook_fidelity import fidelity
from drq_spark.measure.item_sample import ItemSample
from drq_spark.metrics import Metric

X = clustered(300, 6)
TOKENIZER = ready_tokenizer(X, 8, 3)
CODES = TOKENIZER.encode(X).codes


def by_loops(x, codes, books):
    """(metric, level) -> value."""
    x = [[float(value) for value in row] for row in x]
    mean = [sum(row[d] for row in x) / len(x) for d in range(len(x[0]))]
    spread = sum((row[d] - mean[d]) ** 2 for row in x for d in range(len(mean)))
    left, cosine = [0.0] * len(books), 0.0
    for row, code in zip(x, codes, strict=True):
        whole = [0.0] * len(row)
        for level, book in enumerate(books):
            whole = [a + float(b) for a, b in zip(whole, book[code[level]], strict=True)]
            left[level] += sum((a - b) ** 2 for a, b in zip(row, whole, strict=True))
        norms = math.sqrt(sum(a * a for a in row) * sum(b * b for b in whole))
        cosine += sum(a * b for a, b in zip(row, whole, strict=True)) / norms if norms else 0.0
    found = {(Metric.RESIDUAL_SHARE.value, level): value / spread for level, value in enumerate(left, 1)}
    return found | {("relative_mse", 0): left[-1] / spread, ("mean_cosine", 0): cosine / len(x)}


def test_fidelity_is_that_of_plain_loops():
    rows = fidelity(ItemSample(CODES, X, whole=True), TOKENIZER.codebooks)
    found = {(row.metric, row.level): row.value for row in rows}
    assert found == pytest.approx(by_loops(X, CODES, TOKENIZER.codebooks))
    assert {row.standard_error for row in rows} == {None}


def test_codes_of_the_map_count_not_the_nearest_codewords():
    """Other codes than the nearest rebuild worse."""
    other = np.roll(CODES, 1, axis=0)
    nearest, given = (
        {row.metric: row.value for row in fidelity(ItemSample(codes, X, whole=True), TOKENIZER.codebooks)}
        for codes in (CODES, other)
    )
    assert given["relative_mse"] > 2 * nearest["relative_mse"]


def test_blocks_make_no_difference(monkeypatch):
    before = fidelity(ItemSample(CODES, X, whole=True), TOKENIZER.codebooks)
    for module in ("external.codebook_fidelity", "measure.item_sample"):
        monkeypatch.setattr(f"drq_spark.{module}.row_blocks", lambda rows, width: row_blocks(rows, width, 7))
    after = fidelity(ItemSample(CODES, X, whole=True), TOKENIZER.codebooks)
    assert [row.value for row in after] == pytest.approx([row.value for row in before], rel=1e-12)


def test_an_item_of_norm_0_has_cosine_0_and_items_without_spread_have_no_error():
    rows = fidelity(
        ItemSample(np.zeros((4, 3), np.int32), np.zeros((4, 6), np.float32), whole=True), TOKENIZER.codebooks
    )
    assert {(row.metric, row.value) for row in rows} == {("mean_cosine", 0.0)}


def test_standard_errors_are_the_spread_over_samples():
    random = np.random.default_rng(5)
    x = clustered(20_000, 6, seed=3)
    codes = TOKENIZER.encode(x).codes
    found = {}
    for _ in range(300):
        chosen = random.choice(len(x), 200, replace=False)
        for row in fidelity(ItemSample(codes[chosen], x[chosen], whole=False), TOKENIZER.codebooks):
            found.setdefault((row.metric, row.level), []).append((row.value, row.standard_error))
    assert len(found) == 5
    for name, pairs in found.items():
        values, errors = np.array(pairs).T
        assert np.sqrt(np.mean(errors**2)) == pytest.approx(values.std(), rel=0.15), name
