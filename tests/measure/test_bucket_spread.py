"""The spread inside shared SIDs: exact against loops where all is read, unbiased with an honest error where not."""

from __future__ import annotations

import doctest
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from measure.catalogues import Made
from tokenizer.samples import plain as some_tokenizer

from drq_spark.config import Config, Items, Measure
from drq_spark.formulas import within_buckets as spread
from drq_spark.formulas.within_buckets import Moments, choose_sids, mean_square_within
from drq_spark.measure.collisions import bucket_spread_worker as spread_worker
from drq_spark.measure.collisions.bucket_spread import bucket_spread, members_of, shared_sids
from drq_spark.measure.collisions.bucket_spread_worker import grouped_moments, moments_of_sids
from drq_spark.measure.collisions.sid_counts import sid_counts
from drq_spark.measure.subject import Subject

DIM = 6


def test_examples_in_docstrings():
    for module in (spread, spread_worker):
        found = doctest.testmod(module)
        assert (found.failed, found.attempted > 0) == (0, True)


def by_loops(keys, x):
    """Mean of ||x - mean of its SID||^2 over the items of SIDs that more than one item has."""
    squares = []
    for key in set(keys):
        rows = x[np.flatnonzero(np.array(keys) == key)].astype(np.float64)
        if len(rows) > 1:
            squares += [float(np.square(row - rows.mean(axis=0)).sum()) for row in rows]
    return sum(squares) / len(squares) if squares else None


class TestWorker:
    def test_moments_are_those_of_loops(self):
        random = np.random.default_rng(2)
        sid, x = random.integers(5, size=40), (random.normal(size=(40, DIM)) + 100).astype(np.float32)
        for key, rows, square, fourth in zip(*grouped_moments(sid, x), strict=True):
            own = x[sid == key].astype(np.float64)
            away = [float(np.square(row - own.mean(axis=0)).sum()) for row in own]
            assert (rows, square) == (len(own), pytest.approx(sum(away), rel=1e-12))
            assert fourth == pytest.approx(sum(d * d for d in away), rel=1e-12)

    def test_the_order_of_rows_changes_no_bit(self):
        random = np.random.default_rng(4)
        sid, x = random.integers(4, size=90), random.normal(size=(90, DIM)).astype(np.float32)
        order = random.permutation(90)
        for part, other in zip(grouped_moments(sid[order], x[order]), grouped_moments(sid, x), strict=True):
            assert part.tolist() == other.tolist()

    def test_blocks_leave_no_mark(self, monkeypatch):
        random = np.random.default_rng(3)
        sid, x = random.integers(4, size=50), random.normal(size=(50, DIM)).astype(np.float32)
        whole = grouped_moments(sid, x)
        monkeypatch.setattr(spread_worker, "_BLOCK_ELEMENTS", 7 * DIM)
        for part, other in zip(grouped_moments(sid, x), whole, strict=True):
            assert part.tolist() == other.tolist()

    def test_batches_without_rows_and_rows_without_a_usable_embedding(self):
        vectors = [[1.0, 0.0], None, [float("nan"), 1.0], [0.0, 0.0], [0.0, 2.0]]
        batch = pa.record_batch(
            {"sid": pa.array([3] * 5, pa.int64()), "embedding": pa.array(vectors, pa.list_(pa.float32()))}
        )
        work = moments_of_sids(2, "l2")
        (found,) = work(iter([batch.slice(0, 0), batch.slice(0, 3), batch.slice(3)]))
        assert found.to_pydict() == {"sid": [3], "rows": [2], "square": [1.0], "fourth": [0.5]}
        assert [one.num_rows for one in work(iter([]))] == [0]


def population(seed=0, sids=400):
    """Distances squared of made-up items by SID: many small buckets, a few crowded ones with other spreads."""
    random = np.random.default_rng(seed)
    counts = np.concatenate([2 + random.poisson(1.5, sids), [150, 400, 900]])
    return [random.normal(size=(n, 3)) * random.lognormal(0, 0.6) * n**0.15 for n in counts]


def estimate(buckets, most, random):
    """A draw with other keys, as Spark would make it."""
    items = np.array([len(rows) for rows in buckets])
    key = random.exponential(size=len(items)) / items
    order = np.argsort(key)[: most // 2 + 1]
    drawn = choose_sids(key[order], items[order], most)
    chosen = order[: drawn.count]
    seen = [random.permutation(buckets[place])[:shown] for place, shown in zip(chosen, drawn.shown, strict=True)]
    assert sum(map(len, seen)) == drawn.shown.sum() <= most
    _, *moments = grouped_moments(np.repeat(np.arange(len(seen)), drawn.shown), np.concatenate(seen))
    return mean_square_within(Moments(items[chosen], drawn.shown, *moments, drawn.chance))


def true_mean(buckets):
    return sum(float(np.square(rows - rows.mean(axis=0)).sum()) for rows in buckets) / sum(map(len, buckets))


class TestEstimate:
    @pytest.mark.parametrize("most", [100, 200, 600, 1800])
    def test_it_is_right_on_average_and_its_error_is_the_spread_of_repetitions(self, most):
        buckets, random = population(), np.random.default_rng(11)
        found = np.array([estimate(buckets, most, random) for _ in range(500)])
        truth, error = true_mean(buckets), found[:, 0].std()
        assert abs(found[:, 0].mean() - truth) < 4 * error / np.sqrt(500) + 0.01 * truth  # a ratio is off by O(1/n)
        assert np.sqrt(np.square(found[:, 1]).mean()) == pytest.approx(1.04 * error, rel=0.12)  # the jackknife is wide
        covered = np.abs(found[:, 0] - truth) < 2 * found[:, 1]
        assert 0.9 < covered.mean() < 0.99

    def test_more_items_make_a_smaller_error(self):
        buckets, random = population(), np.random.default_rng(12)
        errors = [np.mean([estimate(buckets, most, random)[1] for _ in range(50)]) for most in (200, 600, 1800)]
        assert errors == sorted(errors, reverse=True)

    def test_a_few_crowded_sids_are_all_drawn_and_only_their_items_are_uncertain(self):
        random = np.random.default_rng(13)
        buckets = [random.normal(size=(500, 3)) * scale for scale in (1.0, 2.0, 3.0)]
        found = np.array([estimate(buckets, 300, random) for _ in range(600)])
        assert found[:, 0].mean() == pytest.approx(true_mean(buckets), rel=0.01)
        assert np.sqrt(np.square(found[:, 1]).mean()) == pytest.approx(found[:, 0].std(), rel=0.12)

    def test_where_all_fit_it_is_exact(self):
        buckets = population()
        assert estimate(buckets, 10_000, np.random.default_rng(1)) == (pytest.approx(true_mean(buckets)), None)

    def test_items_without_an_embedding_count_as_not_there(self):
        items = np.array([4, 2, 3])
        found = Moments(items, items, np.array([3, 1, 0]), np.array([6.0, 0, 0]), np.array([14.0, 0, 0]), np.ones(3))
        assert mean_square_within(found) == (pytest.approx(2.0), None)
        value, error = mean_square_within(replace(found, rows=np.zeros(3), square=np.zeros(3)))
        assert np.isnan(value)
        assert error is None


def catalogue(seed=4, items=400, *, crowded=0):
    """SIDs of which some have one item, most a few and, where asked for, one very many; embeddings near their SID."""
    random = np.random.default_rng(seed)
    codes = np.concatenate([random.integers(9, size=(items, 2)), np.zeros((crowded, 2), np.int64)])
    x = random.normal(size=(9, 9, DIM))[codes[:, 0], codes[:, 1]] + 0.3 * random.normal(size=(len(codes), DIM))
    lone = np.arange(5) + 4
    codes[:5] = np.stack([np.full(5, 9), lone], axis=1)
    made = Made(codes, (10, 9), (None,) * len(codes), tuple(range(len(codes))))
    return made, x.astype(np.float32)


def subject(spark, made, x, partitions=1, *, normalize="none", tokenizer=True, binary=False, **measure):
    """With an items table in any order, and rows in it that have no SID."""
    vectors = [row.tobytes() for row in x] if binary else [row.tolist() for row in x]
    rows = [(number, vector) for number, vector in enumerate(vectors)]
    rows = [*rows, (len(rows), None), (len(rows) + 1, vectors[0][:2])]
    kind = "binary" if binary else "array<float>"
    items = spark.createDataFrame(rows, f"item_id bigint, embedding {kind}").repartition(partitions)
    config = Config(items=Items(normalize=normalize), measure=Measure(**measure))
    value = some_tokenizer(DIM, sizes=made.sizes, normalize=normalize) if tokenizer else None
    return Subject(made.sids(spark, partitions), made.sizes, "bigint", config, "", value, dim=DIM, items=items)


def measured(chosen, mean=1.0):
    shared = shared_sids(chosen, sid_counts(chosen.sids, None))
    return [] if shared is None else bucket_spread(chosen, shared, members_of(chosen.items, shared), mean)


class TestSpark:
    @pytest.mark.parametrize("partitions", [1, 3, 7])
    def test_where_all_items_fit_it_is_exact(self, spark, partitions):
        made, x = catalogue()
        (row,) = measured(subject(spark, made, x, partitions), 2.0)
        assert (row.metric, row.level, row.weighting, row.eta) == ("bucket_spread", 0, "items", None)
        assert row.value == pytest.approx(by_loops(made.keys, x) / 2.0, rel=1e-9)
        assert row.standard_error is None

    @pytest.mark.parametrize("tokenizer", [True, False])
    def test_embeddings_are_prepared_and_may_be_binary(self, spark, tokenizer):
        made, x = catalogue()
        chosen = subject(spark, made, x, 2, normalize="l2", tokenizer=tokenizer, binary=True)
        unit = (x / np.linalg.norm(x.astype(np.float64), axis=1, keepdims=True)).astype(np.float32)
        assert measured(chosen)[0].value == pytest.approx(by_loops(made.keys, unit), rel=1e-9)

    def test_a_draw_is_the_same_whatever_the_partitions_and_within_its_error(self, spark):
        made, x = catalogue(items=900, crowded=2000)
        found = [measured(subject(spark, made, x, partitions, overlap_items=300))[0] for partitions in (1, 3, 7)]
        for row in found[1:]:
            assert (row.value, row.standard_error) == pytest.approx((found[0].value, found[0].standard_error), rel=1e-9)
        truth = by_loops(made.keys, x)
        assert abs(found[0].value - truth) < 4 * found[0].standard_error
        assert 0 < found[0].standard_error < 0.2 * truth
        assert found[0].value != pytest.approx(truth, rel=1e-6)

    def test_another_seed_draws_others(self, spark):
        made, x = catalogue(items=900, crowded=2000)
        chosen = subject(spark, made, x, 3, overlap_items=300)
        other = replace(chosen, config=chosen.config.model_copy(update={"seed": 1}))
        assert measured(chosen)[0].value != measured(other)[0].value

    def test_items_of_no_usable_embedding_are_left_out(self, spark):
        made, x = catalogue()
        x[10:60] = np.nan
        good = np.isfinite(x).all(axis=1)
        keys = np.array(made.keys)[good].tolist()
        assert measured(subject(spark, made, x, 3, tokenizer=False))[0].value == pytest.approx(by_loops(keys, x[good]))

    def test_there_is_no_figure_without_shared_sids_or_anything_that_varies(self, spark):
        made, x = catalogue()
        chosen = subject(spark, made, x)
        assert measured(chosen, None) == measured(chosen, 0.0) == []
        alone = Made(np.array([[k // 9, k % 9] for k in range(90)]), (10, 9), (None,) * 90, tuple(range(90)))
        assert measured(subject(spark, alone, x[:90])) == []
