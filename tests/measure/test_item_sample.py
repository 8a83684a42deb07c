"""The sample of items behind sigma and fidelity: the same for every layout, codes beside their own embeddings."""

from __future__ import annotations

import numpy as np
import pytest
from external.test_codebook_fidelity import CODES, TOKENIZER, X, by_loops

from drq_spark.external.codebook_fidelity import fidelity
from drq_spark.measure.item_sample import ItemSample, mean_centred_square, sample_items


def test_the_spread_of_the_items_is_that_about_their_mean():
    expected = float(np.square(X - X.astype(np.float64).mean(axis=0)).sum(axis=1).mean())
    assert mean_centred_square(ItemSample(CODES, X, whole=True)) == pytest.approx(expected)
    assert mean_centred_square(ItemSample(CODES, None, whole=True)) is None


class TestSampleItems:
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
            drawn.append(sample_items(sids, 3, 0, items, 6, "l2", most=40))
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
        whole = sample_items(sids, 3, 0, items, 6, "none")
        assert (len(whole.codes), whole.whole) == (300, True)
        assert fidelity(whole, TOKENIZER.codebooks)[0].value == pytest.approx(
            by_loops(X, CODES, TOKENIZER.codebooks)["relative_mse", 0]
        )
        assert sample_items(sids, 3, 0, items, 6, "none", most=300).whole
        assert not sample_items(sids, 3, 0, items, 6, "none", most=299).whole

    def test_without_items_there_are_codes_alone(self, spark):
        sids, items = self.frames(spark, 3, "array<float>")
        alone, beside = (
            sample_items(sids, 3, 0, None, 0, "none", most=40),
            sample_items(sids, 3, 0, items, 6, "none", most=40),
        )
        assert alone.x is None
        assert alone.codes.tolist() == beside.codes.tolist()
        assert sample_items(sids, 3, 1, None, 0, "none", most=40).codes.tolist() != alone.codes.tolist()
