"""The sample: exactly the valid rows with the lowest keys, whatever is wrong with the others."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pytest
from pipeline.catalogues import plain, write
from pipeline.direct import config
from pyspark.sql import Row
from pyspark.sql import functions as F

from drq_spark.errors import ConsistencyError, InputRefused
from drq_spark.inputs.items import read_catalogue
from drq_spark.sample import draw
from drq_spark.sample.candidate_rows import CandidateRows
from drq_spark.sample.draw import draw_sample
from drq_spark.sample.load import load_sample
from drq_spark.staging import Staging

DIM = 4


@pytest.fixture
def drawn(spark, tmp_path):
    """Draws a sample; ids in key order."""

    def sample(rows, *settings, path=None):
        chosen = config(path or write(rows, tmp_path / "items"), *settings)
        df = draw_sample(read_catalogue(spark, chosen), chosen, Staging(str(tmp_path / "staging")))
        return [row.item_id for row in df.orderBy("sample_key", "item_id").collect()]

    return sample


def expected_order(spark, ids, seed=0, weights=None):
    """Ids by their keys, computed one by one: -ln(1 - u) / w with u from the hash of (id, seed)."""
    df = spark.createDataFrame([(item,) for item in ids], "item_id string")
    hashes = dict(df.select("item_id", F.xxhash64("item_id", F.lit(seed))).collect())
    keys = {}
    for place, item in enumerate(ids):
        uniform = (((hashes[item] % 2**64) >> 11) + 0.5) / 2**53
        keys[item] = -math.log1p(-uniform) / (1.0 if weights is None else weights[place])
    return sorted(ids, key=lambda item: (keys[item], item))


def size_that_ends_in_a_bucket(histogram):
    """A sample size of which the last item lies in a bucket, and all spare ones (a tenth more) too."""
    below = 0
    for bucket in sorted(histogram):
        if below >= 6 and below + histogram[bucket] >= 1.1 * (below + 1):
            return below + 1
        below += histogram[bucket]
    raise AssertionError("no bucket is large enough")


def count_rounds(monkeypatch, rounds):
    """Let every look at candidates append the last bucket of their keys."""
    look = draw.look_at

    def counted(*given, limit, items=None):
        rounds.append(limit)
        return look(*given, limit=limit, items=items)

    monkeypatch.setattr(draw, "look_at", counted)


@dataclass
class Counted:
    """Stands in for candidates, of which the draw asks counts by reason."""

    valid: int
    bad: int

    def where(self, _):
        return self

    def drop(self, _):
        return self

    def groupBy(self, _):
        return self

    def count(self):
        return self

    def collect(self):
        return [Row(reason=None, count=self.valid), Row(reason="null", count=self.bad)]


class TestRows:
    def test_exactly_the_wanted_number_with_the_lowest_keys(self, spark, drawn):
        rows = plain(1000, DIM)
        assert drawn(rows, "sample.size=137") == expected_order(spark, rows.ids)[:137]

    def test_another_seed_draws_others(self, spark, drawn, tmp_path):
        rows = plain(1000, DIM)
        items = write(rows, tmp_path / "both")
        first, second = (drawn(rows, "sample.size=100", f"seed={seed}", path=items) for seed in (0, 1))
        assert second == expected_order(spark, rows.ids, seed=1)[:100]
        assert len(set(first) & set(second)) < 50

    def test_more_bad_rows_than_the_spare_ones_cost_another_round_and_no_row(self, spark, drawn, monkeypatch):
        rows, rounds = plain(1000, DIM), []
        count_rounds(monkeypatch, rounds)
        good = [item for number, item in enumerate(rows.ids) if number % 5 > 1]
        for number in range(len(rows)):
            if number % 5 <= 1:
                rows.embeddings[number][0] = float("nan")
        found = drawn(rows, "sample.size=300", "items.max_bad_share=0.9")
        assert len(rounds) > 1
        assert rounds == sorted(rounds)
        assert found == expected_order(spark, good)[:300]

    def test_a_catalogue_without_bad_rows_is_looked_at_once(self, spark, drawn, tmp_path, monkeypatch):
        """Even where the last items that are needed share a bucket of the histogram: that bucket counts whole."""
        rows, rounds = plain(1000, DIM), []
        items = write(rows, tmp_path / "both")
        count_rounds(monkeypatch, rounds)
        size = size_that_ends_in_a_bucket(read_catalogue(spark, config(items)).profile.key_histogram)
        assert (
            drawn(rows, f"sample.size={size}", "sample.holdout=0", path=items) == expected_order(spark, rows.ids)[:size]
        )
        assert len(rounds) == 1

    @pytest.mark.timeout(300)  # the fault would go on for ever
    def test_a_table_that_has_shrunk_since_its_profile_is_refused(self, spark, tmp_path):
        chosen = config(write(plain(1000, DIM), tmp_path / "items"), "sample.size=300")
        catalogue = read_catalogue(spark, chosen)
        shrunk = replace(catalogue, df=catalogue.df.where("item_id < 'item-00100'"))
        with pytest.raises(ConsistencyError, match="did the input change"):
            draw_sample(shrunk, chosen, Staging(str(tmp_path / "staging")))

    @pytest.mark.parametrize("rounds", [[(0, 0)], [(10, 90), (50, 50)]], ids=["empty", "to and fro"])
    def test_a_table_that_goes_on_shrinking_ends_the_search(self, monkeypatch, rounds):
        """Counts (valid, bad) of rounds that find fewer candidates than the histogram says; what follows repeats."""
        left = iter([*rounds, *rounds * 20])
        monkeypatch.setattr(
            draw, "look_at", lambda *_, limit, items=None: CandidateRows(Counted(*next(left)), limit, limit == 99)
        )
        profile = SimpleNamespace(key_histogram={bucket: 100 for bucket in range(100)})
        with pytest.raises(ConsistencyError, match="did the input change"):
            draw.draw_sample(SimpleNamespace(profile=profile), config("items", "sample.size=100"), None)
        assert len(list(left)) >= 20 * len(rounds) - 1

    def test_a_small_catalogue_is_its_own_sample_without_the_bad_rows(self, drawn):
        rows = plain(50, DIM).plus(["bad", None], [None, [1.0] * DIM])
        assert sorted(drawn(rows)) == list(rows.ids[:50])

    def test_repeated_ids_are_drawn_once_at_most(self, drawn):
        rows = plain(60, DIM)
        assert sorted(drawn(rows.taken([*range(60), *range(60)]))) == list(rows.ids)


class TestWeights:
    def test_keys_are_divided_by_the_weight(self, spark, drawn):
        rows = plain(400, DIM, exposed=True)
        shown = [max(value, 1.0) for value in rows.exposure]
        rows = type(rows)(rows.ids, rows.embeddings, tuple(shown))
        found = drawn(rows, "items.exposure=exposure", "sample.exposure_power=1", "sample.size=90")
        assert found == expected_order(spark, rows.ids, weights=shown)[:90]

    def test_much_shown_items_fill_the_sample_with_a_power_and_half_of_it_without(self, drawn, tmp_path):
        rows = plain(1000, DIM)
        rows = type(rows)(rows.ids, rows.embeddings, tuple([100.0] * 500 + [1.0] * 500))
        items, heavy = write(rows, tmp_path / "both"), set(rows.ids[:500])
        sizes = ("items.exposure=exposure", "sample.size=100")
        weighted, uniform = (drawn(rows, *sizes, f"sample.exposure_power={power}", path=items) for power in (1, 0))
        assert len(set(weighted) & heavy) > 90  # 99 expected
        assert 20 < len(set(uniform) & heavy) < 80  # 50 expected

    def test_items_never_shown_come_last(self, drawn, tmp_path):
        rows = plain(200, DIM)
        rows = type(rows)(rows.ids, rows.embeddings, tuple([0.0] * 50 + [1e-9] * 150))
        items, never = write(rows, tmp_path / "both"), set(rows.ids[:50])
        sets = ("items.exposure=exposure", "sample.exposure_power=1")
        assert not never & set(drawn(rows, *sets, "sample.size=150", path=items))
        assert len(never & set(drawn(rows, *sets, "sample.size=190", path=items))) == 40

    @pytest.mark.parametrize("power", [0.5, 2])
    def test_weights_beyond_a_double_draw_every_item_in_order(self, drawn, power):
        rows = plain(40, DIM)
        rows = type(rows)(rows.ids, rows.embeddings, tuple([1e300] * 10 + [1.0] * 10 + [1e-300] * 10 + [0.0] * 10))
        found = drawn(rows, "items.exposure=exposure", f"sample.exposure_power={power}")
        assert set(found) == set(rows.ids)
        assert set(found[:10]) == set(rows.ids[:10])
        assert set(found[-10:]) >= set(rows.ids[30:]) or power == 2  # 1e-600 is 0


class TestRefusals:
    def test_a_length_that_most_embeddings_have_not_is_doubted_not_their_column(self, spark, drawn):
        with pytest.raises(InputRefused, match=r"301 wrong_dimension\), .*; is items.dim = 3 their length\?"):
            drawn(plain(300, DIM).plus(["short"], [[1.0, 2.0]]), "items.dim=3")  # lengths 2 and 4: 3 may be another

    def test_more_bad_rows_than_allowed(self, drawn):
        rows = plain(100, DIM).plus([f"bad-{n}" for n in range(120)], [[float("inf")] * DIM] * 120)
        with pytest.raises(InputRefused, match=r"120 not_finite\), more than items.max_bad_share = 0.5"):
            drawn(rows)

    def test_fewer_valid_rows_than_codes(self, drawn):
        with pytest.raises(InputRefused, match="5 valid rows leaves 5 to fit 6 codes"):
            drawn(plain(5, DIM), "sample.holdout=0")

    def test_a_sample_smaller_than_the_codes(self, drawn):
        with pytest.raises(InputRefused, match="8 valid rows leaves 5 to fit 6 codes"):
            drawn(plain(500, DIM), "sample.size=8", "sample.holdout=0.4")


class TestLoad:
    def sample(self, spark, tmp_path):
        rows = plain(500, DIM, exposed=True)
        chosen = config(write(rows, tmp_path / "items"), "items.exposure=exposure")
        return rows, draw_sample(read_catalogue(spark, chosen), chosen, Staging(str(tmp_path / "staging")))

    def test_rows_come_in_key_order_with_their_bits(self, spark, tmp_path):
        rows, df = self.sample(spark, tmp_path)
        vectors = dict(zip(rows.ids, rows.matrix(), strict=True))
        expected = np.array([vectors[item] for item in expected_order(spark, rows.ids)])
        found = load_sample(df, DIM)
        assert np.array_equal(found.x, expected)
        shown = dict(zip(rows.ids, rows.exposure, strict=True))
        assert found.exposure.tolist() == [shown[item] for item in expected_order(spark, rows.ids)]

    def test_split_keys_are_of_the_ids_alone_and_no_exposure_is_none(self, spark, tmp_path):
        _, df = self.sample(spark, tmp_path)
        hashes = dict(df.select("item_id", F.xxhash64(F.lit("split"), "item_id", F.lit(0))).collect())
        found = load_sample(df.withColumn("exposure", F.lit(None).cast("double")), DIM)
        ordered = expected_order(spark, hashes)
        assert found.split_key.tolist() == [hashes[item] for item in ordered]
        assert found.exposure is None
        correlation = np.corrcoef(np.argsort(np.argsort(found.split_key)), np.arange(500))[0, 1]
        assert abs(correlation) < 0.2  # independent of the sample key: 4.5 / sqrt(n)

    @pytest.mark.parametrize("chunks", [2, 7])
    def test_chunks_leave_no_mark(self, spark, tmp_path, monkeypatch, chunks):
        _, df = self.sample(spark, tmp_path)
        whole = load_sample(df, DIM)
        monkeypatch.setattr("drq_spark.chunks._CHUNK_BYTES", 500 * DIM * 4 // chunks)
        parts = load_sample(df.repartition(5), DIM)
        assert np.array_equal(parts.x, whole.x)
        assert np.array_equal(parts.split_key, whole.split_key)
        assert np.array_equal(parts.exposure, whole.exposure)
        assert parts.fingerprint == whole.fingerprint
