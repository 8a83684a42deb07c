"""Capacity of whole SIDs: the exact way against a double sum, the drawn way against the exact one."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from measure.subjects import sids_frame, subject_of
from tokenizer.samples import pattern, plain

from drq_spark.formulas.overlap import expected_overlap
from drq_spark.formulas.usage import distribution
from drq_spark.measure.aggregates import Scale
from drq_spark.measure.capacity.sid_capacity import whole_sid_capacity
from drq_spark.measure.collisions import sid_counts as collisions
from drq_spark.metrics import Ruler

SCALES = [
    Scale(Ruler.LATENT, 0.5, (9.0, 9.0, 6.0)),
    Scale(Ruler.INPUT, 0.5, (9.0, 9.0, 15.0), (1.0, 1.0, 1.0)),
    Scale(Ruler.AFTER, None, (9.0, 9.0, 0.0)),
]
WEIGHTS = (np.ones(6, np.float32), np.ones(6, np.float32), pattern(6, start=9) ** 2)
TOKENIZER = plain(sizes=(8, 5, 4), weights=WEIGHTS)
DRAWN = {"overlap_items": 100}


def catalogue(rows: int = 900) -> tuple[np.ndarray, np.ndarray]:
    """Codes that follow a skewed use, and exposure with zeros."""
    rng = np.random.default_rng(8)
    codes = np.stack([np.minimum(rng.geometric(0.3, rows) - 1, size - 1) for size in (8, 5, 4)], axis=1)
    return codes, np.where(rng.random(rows) < 0.3, 0.0, np.floor(rng.pareto(1.5, rows) * 9 + 1))


def measured(spark, tmp_path, codes, exposure, settings, tokenizer=TOKENIZER, partitions=2, scales=SCALES):
    """(metric, weighting, ruler, eta) -> row."""
    sids = sids_frame(spark, tokenizer, codes, exposure, partitions)
    per_sid = collisions.sid_counts(sids, None).cache()
    subject = subject_of(sids, tokenizer, tmp_path, settings)
    rows = whole_sid_capacity(subject, per_sid, collisions.bucket_sums(subject, per_sid), scales)
    per_sid.unpersist()
    assert {row.level for row in rows} <= {0}
    found = {(row.metric, row.weighting, row.ruler, row.eta): row for row in rows}
    assert len(found) == len(rows)
    return found


def direct(codes, weight, sigma, tokenizer=TOKENIZER) -> tuple[float, float]:
    """O_pi and sum p^2 by a double loop over the SIDs."""
    mass: dict[tuple[int, ...], float] = {}
    for code, value in zip(map(tuple, codes.tolist()), weight, strict=True):
        mass[code] = mass.get(code, 0.0) + value / weight.sum()
    place = {s: sum(book[c].astype(float) for book, c in zip(tokenizer.codebooks, s, strict=True)) for s in mass}
    w, overlap = tokenizer.weights[-1].astype(float), 0.0
    for s, p in mass.items():
        for t, q in mass.items():
            far = math.dist((w * place[s]).tolist(), (w * place[t]).tolist())
            overlap += p * q * (1.0 if far == 0 else math.erfc(far / (2 * math.sqrt(2) * sigma)) if sigma else 0.0)
    return overlap, sum(p * p for p in mass.values())


def test_all_sids_exactly(spark, tmp_path):
    codes, exposure = catalogue(300)
    found = measured(spark, tmp_path, codes, exposure, {})
    for weighting, weight in (("items", np.ones(300)), ("exposure", exposure)):
        for scale in SCALES:
            at = (weighting, scale.ruler.value, scale.eta)
            overlap, mass = direct(codes, weight, scale.sigma[-1])
            assert found[("expected_overlap", *at)].value == pytest.approx(overlap, rel=1e-9)
            assert found[("effective_capacity", *at)].value == pytest.approx(1 / overlap, rel=1e-9)
            assert found[("geometry", *at)].value == pytest.approx(mass / overlap, rel=1e-9)
            assert found[("expected_overlap", *at)].standard_error is None
        assert found["distribution", weighting, None, None].value == pytest.approx(1 / (160 * mass), rel=1e-9)
    assert len(found) == 2 * (1 + 3 * 3)


def test_one_level_is_the_level_itself(spark, tmp_path):
    tokenizer = plain(sizes=(8,), latent_rms=(1.0,))
    codes = catalogue()[0][:, :1]
    found = measured(spark, tmp_path, codes, None, {}, tokenizer, scales=[Scale(Ruler.LATENT, 0.5, (0.5,))])
    counts = np.bincount(codes[:, 0], minlength=8)
    overlap = expected_overlap(counts, tokenizer.codebooks[0], 0.5)
    assert found["expected_overlap", "items", "latent", 0.5].value == pytest.approx(overlap)
    assert found["distribution", "items", None, None].value == pytest.approx(distribution(counts))


@pytest.fixture(scope="module")
def drawn(spark, tmp_path_factory):
    """More SIDs than are drawn, by one partitioning."""
    return measured(spark, tmp_path_factory.mktemp("drawn"), *many(), DRAWN, partitions=1)


def many() -> tuple[np.ndarray, np.ndarray]:
    codes, exposure = catalogue()
    rest = np.stack(np.unravel_index(np.arange(160), (8, 5, 4)), axis=1)  # every SID there is
    return np.concatenate([codes, rest]), np.concatenate([exposure, np.ones(160)])


def test_draws_come_near_the_exact_value_within_their_error(drawn):
    codes, exposure = many()
    for weighting, weight in (("items", np.ones(len(codes))), ("exposure", exposure)):
        for scale in SCALES:
            at = (weighting, scale.ruler.value, scale.eta)
            overlap, mass = direct(codes, weight, scale.sigma[-1])
            whole, capacity, near = (
                drawn[(name, *at)] for name in ("expected_overlap", "effective_capacity", "geometry")
            )
            assert whole.standard_error is not None
            assert abs(whole.value - overlap) <= 4 * whole.standard_error + 1e-12
            assert whole.value >= mass * (1 - 1e-12)  # the collision mass is exact
            assert capacity.value == pytest.approx(1 / whole.value)
            assert capacity.standard_error == pytest.approx(whole.standard_error / whole.value**2)
            assert near.value == pytest.approx(mass / whole.value)
            assert near.standard_error == pytest.approx(whole.standard_error * mass / whole.value**2)
        assert drawn["distribution", weighting, None, None].value == pytest.approx(1 / (160 * mass))
        assert drawn["distribution", weighting, None, None].standard_error is None


@pytest.mark.parametrize("partitions", [3, 7])
def test_draws_do_not_depend_on_the_partitioning(spark, tmp_path, drawn, partitions):
    other = measured(spark, tmp_path, *many(), DRAWN, partitions=partitions)
    assert other.keys() == drawn.keys()
    for key, row in other.items():
        assert row.value == pytest.approx(drawn[key].value, rel=1e-9)
        expected = drawn[key].standard_error
        assert row.standard_error == (None if expected is None else pytest.approx(expected, rel=1e-9))


def test_few_shown_sids_are_exact_where_all_are_too_many(spark, tmp_path):
    codes, _ = many()
    exposure = np.where(np.arange(len(codes)) < 50, 2.0, 0.0)
    found = measured(spark, tmp_path, codes, exposure, DRAWN)
    row = found["expected_overlap", "exposure", "latent", 0.5]
    assert row.value == pytest.approx(direct(codes, exposure, SCALES[0].sigma[-1])[0], rel=1e-9)
    assert row.standard_error is None
    assert found["expected_overlap", "items", "latent", 0.5].standard_error is not None


def test_exposure_of_zeros_has_no_rows(spark, tmp_path):
    codes, exposure = catalogue(50)
    found = measured(spark, tmp_path, codes, 0 * exposure, {})
    assert {weighting for _, weighting, _, _ in found} == {"items"}


def test_one_item(spark, tmp_path):
    found = measured(spark, tmp_path, np.array([[1, 2, 3]]), np.array([4.0]), {})
    assert all(row.value == 1 for (metric, *_), row in found.items() if metric != "distribution")
    assert found["distribution", "items", None, None].value == pytest.approx(1 / 160)


def test_all_items_with_one_sid(spark, tmp_path):
    found = measured(spark, tmp_path, np.tile([[1, 2, 3]], (20, 1)), None, {})
    assert all(row.value == 1 for (metric, *_), row in found.items() if metric != "distribution")


def test_sids_at_one_place_overlap_fully_even_without_noise(spark, tmp_path):
    same = replace(TOKENIZER, codebooks=tuple(np.zeros_like(book) for book in TOKENIZER.codebooks))
    for settings in ({}, DRAWN):
        found = measured(spark, tmp_path, *many(), settings, same)
        capacities = [row.value for (metric, *_), row in found.items() if metric == "effective_capacity"]
        assert capacities == pytest.approx([1.0] * 6, abs=1e-2)
        assert all(value >= 1 for value in capacities)


def test_without_a_tokenizer_there_are_no_rows(spark, tmp_path):
    sids = sids_frame(spark, TOKENIZER, catalogue(5)[0], None)
    subject, per_sid = subject_of(sids, None, tmp_path, {}), collisions.sid_counts(sids, None)
    assert whole_sid_capacity(subject, per_sid, collisions.bucket_sums(subject, per_sid), SCALES) == []
