"""Batches of items in, counts of flips out: exact types, independence of blocks, and cases that a hand can check."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from tokenizer.samples import behaving, full, plain, rows

from drq_spark.formulas.noise import standard_normals
from drq_spark.formulas.ratios import ratio_standard_error
from drq_spark.measure.perturbation import flips_worker as worker
from drq_spark.row_types import spark_schema
from drq_spark.ship import Shipped
from drq_spark.tokenizer import Tokenizer

pytestmark = pytest.mark.filterwarnings("error")


def batch_of(tokenizer: Tokenizer, embeddings: list, exposure: list[float] | None = None) -> pa.RecordBatch:
    """Items with the codes that their own embeddings give, zeros where there is none."""
    n = len(embeddings)
    usable = [row is not None and len(row) == tokenizer.dim and bool(np.isfinite(row).all()) for row in embeddings]
    codes = np.zeros((n, tokenizer.levels), np.int32)
    if any(usable):
        x = np.array([row for row, fine in zip(embeddings, usable, strict=True) if fine], np.float32)
        codes[usable] = tokenizer.encode(x).codes
    columns = [
        pa.array([(-1) ** i * (i + 1) * 2**40 for i in range(n)], pa.int64()),
        pa.array(codes.tolist(), pa.list_(pa.int32())),
        pa.array(exposure or [i / 2 for i in range(n)], pa.float64()),
        pa.array(embeddings, pa.list_(pa.float32())),
    ]
    return pa.RecordBatch.from_arrays(columns, names=["noise_key", "codes", "exposure", "embedding"])


def counted(work: worker.Work, *batches: pa.RecordBatch) -> dict[tuple, Counter]:
    """(ruler, eta, level, code, other) -> sums of the other columns."""
    sums: dict[tuple, Counter] = {}
    for batch in work(iter(batches)):
        for row in batch.to_pylist():
            key = tuple(row.pop(name) for name in ("ruler", "eta", "level", "code", "other"))
            sums.setdefault(key, Counter()).update({name: value for name, value in row.items() if value is not None})
    return sums


def line(h: float = 0.0, **other) -> Tokenizer:
    """One coordinate, codewords at -1 and 1, so that the boundary lies at 0."""
    book = np.array([[-1.0], [1.0]], np.float32)
    return plain(1, (2,), codebooks=(book,), latent_rms=(1.0,), **other)


def keys(n: int, start: int = 0) -> np.ndarray:
    return np.arange(start, start + n, dtype=np.uint64)


def test_every_batch_has_the_declared_types():
    tokenizer = full()
    expected = worker.COUNTS
    assert spark_schema(expected).simpleString() == (
        "struct<ruler:string,eta:double,level:int,code:int,other:int,items:bigint,flipped:bigint,exposure:double,"
        "flipped_exposure:double,exposure_square:double,flipped_exposure_square:double>"
    )
    batch = batch_of(tokenizer, rows(40).tolist())
    for work in (worker.noise_counter(Shipped(tokenizer), [0.5], [0.2]), worker.version_counter(Shipped(tokenizer))):
        found = list(work(iter([batch, batch.slice(0, 0)])))
        assert found
        assert all(part.schema == expected for part in found)


@pytest.mark.parametrize("tokenizer", [plain(), full(), behaving(), plain(beam=3)])
def test_blocks_batches_and_order_change_no_count(tokenizer, monkeypatch):
    x = rows(150, tokenizer.dim).tolist()
    batch = batch_of(tokenizer, x)
    work = worker.noise_counter(Shipped(tokenizer), [0.1, 1.0], [0.3])
    whole = counted(work, batch)
    assert sum(key[3] is not None for key in whole) > 5
    monkeypatch.setattr(worker, "_BLOCK_ELEMENTS", 1)  # blocks of 64 rows
    shuffled = batch.take(pa.array(np.random.default_rng(0).permutation(150)))
    for parts in ([batch], [batch.slice(0, 7), batch.slice(7)], [shuffled.slice(0, 70), shuffled.slice(70)]):
        assert counted(work, *parts) == whole


def test_without_noise_the_codes_are_those_of_the_table():
    """The guarantee that lets the test start at the codes of the sids table."""
    x = np.random.default_rng(3).normal(size=(200, 6)).astype(np.float32)
    for tokenizer in (plain(), full(), plain(beam=4, normalize="l2")):
        for scale in (0.0, 1e-12):
            codes = [part.codes for part in worker.perturbed_codes(x, keys(200), tokenizer, [scale], [scale])]
            assert all((found == tokenizer.encode(x).codes).all() for found in codes)


def test_flips_on_a_line_are_as_frequent_as_the_normal_distribution_says():
    n, h = 20_000, 0.3
    x = np.where(np.arange(n) % 2, h, -h).astype(np.float32)[:, None]
    for eta, found in zip(
        (0.2, 0.5, 1.0), worker.perturbed_codes(x, keys(n), line(), (0.2, 0.5, 1.0), ()), strict=True
    ):
        expected = 0.5 * math.erfc(h / eta / math.sqrt(2))
        rate = float((found.codes[:, 0] != (np.arange(n) % 2)).mean())
        assert abs(rate - expected) < 4 * math.sqrt(expected * (1 - expected) / n), eta


def test_noise_on_embeddings_of_one_number_goes_forth_or_back():
    x = np.where(np.arange(5000) % 2, 0.25, -4.0).astype(np.float32)[:, None]
    below, beyond = worker.perturbed_codes(x, keys(5000), line(), (), (0.9, 2.0))
    assert (below.codes[:, 0] == np.arange(5000) % 2).all()  # x (1 +- 0.9) keeps its sign
    assert abs(float((beyond.codes[:, 0] != np.arange(5000) % 2).mean()) - 0.5) < 0.03  # x (1 - 2) does not


def test_the_noise_of_an_item_grows_along_the_curve_and_is_its_own():
    x = np.zeros((50, 1), np.float32)
    small, large = worker.perturbed_codes(x, keys(50), line(), (0.1, 10.0), ())
    assert (small.codes == large.codes).all()  # from the boundary the sign of the noise alone decides
    assert (small.codes[:, 0] == (standard_normals(keys(50), 1, 0)[:, 0] > 0)).all()
    part = next(worker.perturbed_codes(x[:7], keys(7, start=20), line(), (0.1,), ()))
    assert (part.codes == small.codes[20:27]).all()


def test_rows_that_noise_makes_unusable_are_left_out():
    """1 +- 1 is 0 for half of the rows, and 0 has no direction; 1 +- 2 always has one."""
    tokenizer = line(normalize="l2")
    zero, fine = worker.perturbed_codes(np.ones((400, 1), np.float32), keys(400), tokenizer, (), (1.0, 2.0))
    assert 150 < zero.kept.sum() < 250
    assert len(zero.codes) == zero.kept.sum()
    assert fine.kept.all()
    huge = np.full((400, 1), 3.4e38, np.float32)
    (over,) = worker.perturbed_codes(huge, keys(400), line(), (), (0.5,))
    assert 150 < over.kept.sum() < 250
    batch = batch_of(tokenizer, [[1.0]] * 400)
    totals = counted(worker.noise_counter(Shipped(tokenizer), (), (1.0,)), batch)
    assert totals["input", 1.0, 1, None, None]["items"] < 250


def test_noise_is_isotropic_in_the_metric_of_the_last_level():
    """Weight 0: no noise. Weight 2: half of it, so that the boundary is twice as far away."""
    n = 20_000
    across = plain(
        2, (2, 2), codebooks=(np.array([[0, -1], [0, 1]], np.float32), np.array([[-1, 0], [1, 0]], np.float32)),
        weights=(np.array([1, 1], np.float32), np.array([2, 0], np.float32)), latent_rms=(5.0, 1.0),
    )  # fmt: skip
    x = np.tile(np.array([[0.3, 0.001]], np.float32), (n, 1))
    (found,) = worker.perturbed_codes(x, keys(n), across, (0.5,), ())
    assert (found.codes[:, 0] == 1).all()
    expected = 0.5 * math.erfc(0.3 / 0.25 / math.sqrt(2))
    assert abs(float((found.codes[:, 1] == 0).mean()) - expected) < 4 * math.sqrt(expected / n)


def test_unusable_rows_and_empty_batches_count_nothing():
    tokenizer, x = full(), rows(30).tolist()
    bad = [None, [1.0], [math.nan] * 6, [0.0] * 6]
    good = batch_of(tokenizer, x, exposure=[1.0] * 30)
    mixed_rows = pa.array([*bad, *x], pa.list_(pa.float32()))
    padded = pa.concat_batches([batch_of(tokenizer, [x[0]] * 4, exposure=[9.0] * 4), good])
    mixed = padded.set_column(3, "embedding", mixed_rows)
    work = worker.noise_counter(Shipped(tokenizer), [0.5], [0.2])
    assert counted(work, mixed, good.slice(0, 0)) == counted(work, good)
    nothing = counted(work, mixed.slice(0, 4))
    assert len(nothing) == 2 * 4  # two perturbations, three levels and the whole SID
    assert not any(value for sums in nothing.values() for value in sums.values())


def test_totals_are_sums_over_items_and_exposure():
    """Codes 0 and 1 by sign: item 0 stays, items 1 and 2 change sides in their second version."""
    tokenizer = line()
    first = batch_of(tokenizer, [[-1.0], [-1.0], [1.0]], exposure=[1.0, 2.0, 4.0])
    second = first.set_column(3, "embedding", pa.array([[-2.0], [0.5], [-0.5]], pa.list_(pa.float32())))
    found = counted(worker.version_counter(Shipped(tokenizer)), second)
    sums = {"items": 3, "flipped": 2, "exposure": 7.0, "flipped_exposure": 6.0, "exposure_square": 21.0,
            "flipped_exposure_square": 20.0}  # fmt: skip
    assert found == {
        ("after", None, 0, None, None): sums,
        ("after", None, 1, None, None): sums,
        ("after", None, 1, 0, 1): {"items": 1},
        ("after", None, 1, 1, 0): {"items": 1},
    }


class TestStandardErrors:
    """Against the spread of repeated estimates."""

    @staticmethod
    def of(weight, hit) -> float:
        return ratio_standard_error(
            len(weight), weight.sum(), weight @ hit, (weight * weight).sum(), (weight * weight) @ hit
        )

    def test_of_flips_on_a_line(self):
        """Items with equal chances: the binomial error is exact even if all items are perturbed."""
        n, x = 400, np.full((400, 1), 0.3, np.float32)
        estimates, errors = [], []
        for repetition in range(600):
            (found,) = worker.perturbed_codes(x, keys(n, start=n * repetition), line(), (0.5,), ())
            hit = (found.codes[:, 0] == 0).astype(float)
            estimates.append(hit.mean())
            errors.append(self.of(np.ones(n), hit))
        assert np.std(estimates) == pytest.approx(np.mean(errors), rel=0.1)

    @pytest.mark.parametrize("power", [0.0, 1.0])
    def test_of_items_drawn_from_many_with_noise(self, power):
        """Few of many items, each with its own chance that goes with its exposure: both chances are in the error."""
        random = np.random.default_rng(1)
        weight = random.gamma(2.0, size=100_000) ** power
        chance = np.clip(weight / 10 + random.random(len(weight)) ** 3 / 2, 0, 1)
        estimates, errors = [], []
        for _ in range(1500):
            drawn = random.integers(len(weight), size=500)
            hit = (random.random(500) < chance[drawn]).astype(float)
            estimates.append(weight[drawn] @ hit / weight[drawn].sum())
            errors.append(self.of(weight[drawn], hit))
        assert np.mean(estimates) == pytest.approx((weight @ chance) / weight.sum(), abs=0.005)
        assert np.std(estimates) == pytest.approx(np.mean(errors), rel=0.07)

    def test_is_an_upper_bound_for_the_items_themselves(self):
        """All items perturbed, chances far apart: the rate varies less than the error says, never more."""
        random = np.random.default_rng(2)
        chance = random.beta(0.2, 0.6, size=400)
        hits = [(random.random(400) < chance).astype(float) for _ in range(1500)]
        spread, error = np.std([hit.mean() for hit in hits]), np.mean([self.of(np.ones(400), hit) for hit in hits])
        assert 0.4 * error < spread < 0.9 * error

    def test_with_the_share_left_of_items_that_moved_for_good(self):
        """Nothing is random but the drawing: times sqrt(1 - share drawn)."""
        random = np.random.default_rng(3)
        weight, hit = random.gamma(2.0, size=1000), (random.random(1000) < 0.3).astype(float)
        estimates, errors = [], []
        for _ in range(2000):
            drawn = random.random(1000) < 0.6
            estimates.append(weight[drawn] @ hit[drawn] / weight[drawn].sum())
            errors.append(self.of(weight[drawn], hit[drawn]) * math.sqrt(0.4))
        assert np.std(estimates) == pytest.approx(np.mean(errors), rel=0.07)

    def test_needs_two_items_and_some_weight(self):
        assert math.isnan(ratio_standard_error(1, 1.0, 1.0, 1.0, 1.0))
        assert math.isnan(ratio_standard_error(5, 0.0, 0.0, 0.0, 0.0))
