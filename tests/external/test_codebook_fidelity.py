"""What codebooks of another system tell, on a sample: against plain loops, and standard errors by repetition."""

from __future__ import annotations

import math

import numpy as np
import pytest
from pipeline.catalogues import clustered
from pipeline.direct import ready_tokenizer

from drq_spark.external.codebook_fidelity import Drawn, agreement, draw, fidelity, mean_centred_square, rebuilt
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
    rows = fidelity(Drawn(CODES, X, whole=True), TOKENIZER.codebooks)
    found = {(row.metric, row.level): row.value for row in rows}
    assert found == pytest.approx(by_loops(X, CODES, TOKENIZER.codebooks))
    assert {row.standard_error for row in rows} == {None}


def test_codes_of_the_map_count_not_the_nearest_codewords():
    """Other codes than the nearest rebuild worse."""
    other = np.roll(CODES, 1, axis=0)
    nearest, given = (
        {row.metric: row.value for row in fidelity(Drawn(codes, X, whole=True), TOKENIZER.codebooks)}
        for codes in (CODES, other)
    )
    assert given["relative_mse"] > 2 * nearest["relative_mse"]


def test_blocks_make_no_difference(monkeypatch):
    before = fidelity(Drawn(CODES, X, whole=True), TOKENIZER.codebooks)
    monkeypatch.setattr("drq_spark.external.codebook_fidelity._BLOCK", 7)
    after = fidelity(Drawn(CODES, X, whole=True), TOKENIZER.codebooks)
    assert [row.value for row in after] == pytest.approx([row.value for row in before], rel=1e-12)


def test_an_item_of_norm_0_has_cosine_0_and_items_without_spread_have_no_error():
    rows = fidelity(Drawn(np.zeros((4, 3), np.int32), np.zeros((4, 6), np.float32), whole=True), TOKENIZER.codebooks)
    assert {(row.metric, row.value) for row in rows} == {("mean_cosine", 0.0)}


def test_standard_errors_are_the_spread_over_samples():
    random = np.random.default_rng(5)
    x = clustered(20_000, 6, seed=3)
    codes = TOKENIZER.encode(x).codes
    found = {}
    for _ in range(300):
        chosen = random.choice(len(x), 200, replace=False)
        for row in fidelity(Drawn(codes[chosen], x[chosen], whole=False), TOKENIZER.codebooks):
            found.setdefault((row.metric, row.level), []).append((row.value, row.standard_error))
    assert len(found) == 5
    for name, pairs in found.items():
        values, errors = np.array(pairs).T
        assert np.sqrt(np.mean(errors**2)) == pytest.approx(values.std(), rel=0.15), name


def test_agreement_is_the_share_of_whole_sids():
    assert agreement(CODES, X, TOKENIZER) == (1.0, 300)
    other = CODES.copy()
    other[:75, 2] = (other[:75, 2] + 1) % 8
    assert agreement(other, X, TOKENIZER) == (0.75, 300)
    assert agreement(other, X, TOKENIZER, most=100) == (0.25, 100)


def test_what_sids_rebuild_is_the_sum_of_their_codewords():
    expected = sum(book[CODES[:, level]].astype(np.float64) for level, book in enumerate(TOKENIZER.codebooks))
    assert rebuilt(CODES, TOKENIZER.codebooks) == pytest.approx(expected, rel=1e-6, abs=1e-6)
    assert rebuilt(CODES, TOKENIZER.codebooks) == pytest.approx(TOKENIZER.decode_latent(CODES), rel=1e-6, abs=1e-6)


def test_the_spread_of_the_items_is_that_about_their_mean():
    expected = float(np.square(X - X.astype(np.float64).mean(axis=0)).sum(axis=1).mean())
    assert mean_centred_square(Drawn(CODES, X, whole=True)) == pytest.approx(expected)
    assert mean_centred_square(Drawn(CODES, None, whole=True)) is None


class TestDraw:
    def frames(self, spark, partitions, kind):
        ids = [f"i{n}" for n in range(len(X))]
        sids = spark.createDataFrame(
            [(item, row.tolist(), None) for item, row in zip(ids, CODES, strict=True)],
            "item_id string, codes array<int>, exposure double",
        )
        vectors = [row.astype("<f4").tobytes() if kind == "binary" else row.tolist() for row in X]
        items = [*zip(ids, vectors, strict=True), ("no sid", vectors[0]), ("bad", None)]
        frame = spark.createDataFrame(items, f"item_id string, embedding {kind}")
        return sids.repartition(partitions), frame.repartition(partitions)

    @pytest.mark.parametrize("kind", ["array<float>", "binary"])
    def test_layouts_do_not_matter_and_codes_stay_with_their_embeddings(self, spark, kind):
        drawn = []
        for partitions in (1, 3, 7):
            sids, items = self.frames(spark, partitions, kind)
            drawn.append(draw(sids, 3, 0, items, 6, "l2", most=40))
        for other in drawn[1:]:
            assert other.codes.tobytes() == drawn[0].codes.tobytes()
            assert other.x.tobytes() == drawn[0].x.tobytes()
        (first, *_) = drawn
        assert (first.codes.shape, first.x.shape, first.x.dtype, first.whole) == ((40, 3), (40, 6), np.float32, False)
        unit = X / np.sqrt(np.square(X.astype(np.float64)).sum(axis=1, keepdims=True))
        known = {row.astype(np.float32).tobytes(): codes for row, codes in zip(unit, CODES.tolist(), strict=True)}
        assert [known[row.tobytes()] for row in first.x] == first.codes.tolist()

    def test_all_items_where_there_are_not_more(self, spark):
        sids, items = self.frames(spark, 3, "array<float>")
        whole = draw(sids, 3, 0, items, 6, "none")
        assert (len(whole.codes), whole.whole) == (300, True)
        assert fidelity(whole, TOKENIZER.codebooks)[0].value == pytest.approx(
            by_loops(X, CODES, TOKENIZER.codebooks)["relative_mse", 0]
        )
        assert draw(sids, 3, 0, items, 6, "none", most=300).whole
        assert not draw(sids, 3, 0, items, 6, "none", most=299).whole

    def test_without_items_there_are_codes_alone(self, spark):
        sids, items = self.frames(spark, 3, "array<float>")
        alone, beside = draw(sids, 3, 0, None, 0, "none", most=40), draw(sids, 3, 0, items, 6, "none", most=40)
        assert alone.x is None
        assert alone.codes.tolist() == beside.codes.tolist()
        assert draw(sids, 3, 1, None, 0, "none", most=40).codes.tolist() != alone.codes.tolist()
