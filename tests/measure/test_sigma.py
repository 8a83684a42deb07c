"""sigma under every ruler: against numpy, what it must not depend on, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from measure.subjects import items_frame, sids_frame, subject_of
from pyspark.sql import functions as F
from tokenizer.samples import behaving, full, network, plain

from drq_spark.config import Measure
from drq_spark.errors import InputRefused
from drq_spark.formulas.noise import isotropic
from drq_spark.measure.aggregates import latent_scales
from drq_spark.measure.capacity import sigma as rulers
from drq_spark.measure.capacity.sigma import perturbed, scales
from drq_spark.metrics import Ruler
from drq_spark.tokenizer.latent_unit import effective_rms
from drq_spark.tokenizer.network import ResidualMLP

SETTINGS = {"etas": (0.5, 1.0), "rhos": (0.1, 0.3), "embeddings_after": "later"}
X = np.random.default_rng(1).normal(size=(90, 6)).astype(np.float32) * [4, 2, 1, 1, 1, 1]
LATER = X + np.random.default_rng(2).normal(size=X.shape) * [0.5, 0.1, 0.1, 0.1, 0.1, 0.1]


def subject(spark, tmp_path, tokenizer, x=X, later=None, partitions=2, **other):
    """Items with SIDs that the tokenizer gives."""
    x = x.astype(np.float32)
    sids = sids_frame(spark, tokenizer, tokenizer.encode(x).codes, None, partitions)
    after = None if later is None else items_frame(spark, later.astype(np.float32), partitions, **other)
    items = items_frame(spark, x, partitions)
    return subject_of(sids, tokenizer, tmp_path, SETTINGS, items=items, after=after)


def named(found) -> dict:
    return {(scale.ruler, scale.eta): scale for scale in found}


def slow_sigmas(tokenizer, x, other) -> list[float]:
    """All pairs of different items in one go."""
    z, moved = (tokenizer.latent(tokenizer.prepare_input(rows)).astype(float) for rows in (x, other))
    found = []
    for weight in tokenizer.weights or [np.ones(tokenizer.latent_dim)] * tokenizer.levels:
        delta = (moved - z) * weight
        dots = np.square(delta @ delta.T)
        pairs = (dots.sum() - np.trace(dots)) / (len(delta) * (len(delta) - 1))
        found.append(float(np.sqrt(pairs / np.square(delta).sum(axis=1).mean())))
    return found


@pytest.mark.parametrize("tokenizer", [plain(), full(), behaving(6)], ids=["identity", "encoder", "weights"])
def test_sigmas_are_those_of_numpy_under_any_partitioning(spark, tmp_path, tokenizer):
    found = [named(scales(subject(spark, tmp_path, tokenizer, later=LATER, partitions=n))) for n in (1, 3, 7)]
    assert found[1] == found[2] == found[0]
    assert list(found[0]) == [(Ruler.LATENT, 0.5), (Ruler.LATENT, 1.0), (Ruler.INPUT, 0.1), (Ruler.INPUT, 0.3),
                              (Ruler.AFTER, None)]  # fmt: skip
    x = X.astype(np.float32)
    after = found[0][Ruler.AFTER, None]
    assert after.sigma == pytest.approx(slow_sigmas(tokenizer, x, LATER.astype(np.float32)), rel=1e-6)
    assert all(0 < error < 0.5 * sigma for error, sigma in zip(after.standard_error, after.sigma, strict=True))
    ids = spark.createDataFrame([(f"i{number:04d}",) for number in range(len(x))], "item_id string")
    keys = np.array([row[0] for row in ids.select(F.xxhash64(F.lit("input"), "item_id", F.lit(0))).collect()])
    for rho in (0.1, 0.3):
        other = perturbed(x, keys.view(np.uint64), rho)
        assert found[0][Ruler.INPUT, rho].sigma == pytest.approx(slow_sigmas(tokenizer, x, other), rel=1e-6)
    assert found[0][Ruler.LATENT, 0.5].sigma == pytest.approx(tuple(0.5 * rms for rms in tokenizer.latent_rms))
    assert found[0][Ruler.LATENT, 0.5].standard_error is None


def test_noise_has_the_length_that_rho_says_and_belongs_to_the_item():
    keys = np.arange(len(X), dtype=np.uint64)
    moved = perturbed(X.astype(np.float32), keys, 0.3).astype(float) - X
    np.testing.assert_allclose(np.linalg.norm(moved, axis=1), 0.3 * np.linalg.norm(X, axis=1), rtol=1e-5)
    np.testing.assert_allclose(moved[7] / np.linalg.norm(moved[7]), isotropic(keys[7:8], 6)[0], atol=1e-5)
    largest = np.full((1, 2), np.finfo(np.float32).max, np.float32)
    assert np.isfinite(perturbed(largest, keys[:1], 5.0)).all()
    assert (perturbed(np.zeros((1, 2), np.float32), keys[:1], 0.3) == 0).all()


def turned_and_padded(encoder: ResidualMLP, turn: np.ndarray, extra: int) -> ResidualMLP:
    """The same latents, rotated, with coordinates that are 3 for every item."""
    wide = np.concatenate([turn, np.zeros((extra, len(turn)))]).astype(np.float32)
    bias = np.concatenate([turn @ encoder.bias, np.full(extra, 3.0)]).astype(np.float32)
    return replace(encoder, linear=wide @ encoder.linear, out=wide @ encoder.out, bias=bias)


def test_sigma_does_not_change_with_rotation_and_constant_coordinates_of_the_latents(spark, tmp_path):
    """Design, section 2; latent_rms is what training finds in the latents."""

    def ruled(tokenizer):
        z = tokenizer.latent(tokenizer.prepare_input(X.astype(np.float32)))
        trained = replace(tokenizer, latent_rms=effective_rms(z, [None] * tokenizer.levels))
        return scales(subject(spark, tmp_path, trained, later=LATER))

    tokenizer, turn = full(), np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
    books = tuple(np.pad(book @ turn.T, ((0, 0), (0, 4))).astype(np.float32) for book in tokenizer.codebooks)
    encoder = turned_and_padded(tokenizer.encoder, turn, 4)
    other = replace(tokenizer, codebooks=books, tables=None, encoder=encoder, decoder=network(7, 6))
    for here, there in zip(ruled(tokenizer), ruled(other), strict=True):
        assert (there.ruler, there.eta) == (here.ruler, here.eta)
        assert there.sigma == pytest.approx(here.sigma, rel=1e-4)


def test_input_noise_on_plain_embeddings_has_a_known_scale(spark, tmp_path):
    """Isotropic noise of norm rho ||x|| in D coordinates: S = rho^2 E||x||^2 / D, times the identity."""
    x = np.random.default_rng(4).normal(size=(800, 6))
    found = named(scales(subject(spark, tmp_path, plain(), x)))
    for rho in (0.1, 0.3):
        expected = rho * np.sqrt(np.square(x).sum(axis=1).mean() / 6)
        assert found[Ruler.INPUT, rho].sigma == pytest.approx((expected,) * 3, rel=0.05)


def test_only_items_with_two_usable_embeddings_are_compared(spark, tmp_path):
    """The second version has other items too, bad rows, another order, and not all items."""
    tokenizer, kept = plain(), np.arange(20, 60)
    later = [*LATER[kept].astype(np.float32), *X[:3].astype(np.float32)]
    later[5], later[6], later[7] = None, np.full(6, np.nan, np.float32), np.ones(4, np.float32)
    names = [*(f"i{number:04d}" for number in kept), "new-1", "new-2", "new-3"]
    whole = subject(spark, tmp_path, tokenizer)
    found = named(scales(replace(whole, after=items_frame(spark, later[::-1], 3, names[::-1]))))
    both = np.delete(kept, [5, 6, 7])
    expected = slow_sigmas(tokenizer, X[both].astype(np.float32), LATER[both].astype(np.float32))
    assert found[Ruler.AFTER, None].sigma == pytest.approx(expected, rel=1e-6)


def test_a_second_version_of_other_items_is_refused(spark, tmp_path):
    strangers = items_frame(spark, X.astype(np.float32), 2, [f"x{number}" for number in range(len(X))])
    with pytest.raises(InputRefused, match="embeddings_after 'later': no item"):
        scales(replace(subject(spark, tmp_path, plain()), after=strangers))


def test_the_same_embeddings_again_do_not_move(spark, tmp_path):
    found = named(scales(subject(spark, tmp_path, plain(), later=X)))
    assert found[Ruler.AFTER, None].sigma == (0.0, 0.0, 0.0)


def test_items_beyond_the_bound_are_drawn_by_hash(spark, tmp_path, monkeypatch):
    monkeypatch.setattr(rulers, "MOST_ITEMS", 40)
    monkeypatch.setattr(rulers, "_BLOCK_ROWS", 15)
    first, second = (scales(subject(spark, tmp_path, plain(), later=LATER, partitions=n)) for n in (1, 5))
    assert first == second
    ids = spark.createDataFrame([(f"i{number:04d}",) for number in range(len(X))], "item_id string")
    keys = np.array([row[0] for row in ids.select(F.xxhash64(F.lit("after"), "item_id", F.lit(0))).collect()])
    drawn = np.argsort(keys)[:40]
    expected = slow_sigmas(plain(), X[drawn].astype(np.float32), LATER[drawn].astype(np.float32))
    assert named(first)[Ruler.AFTER, None].sigma == pytest.approx(expected, rel=0.2)  # of blocks, not of all pairs


def test_one_item(spark, tmp_path):
    found = named(scales(subject(spark, tmp_path, plain(), X[:1], later=LATER[:1])))
    assert found[Ruler.AFTER, None].sigma == pytest.approx((np.linalg.norm(LATER[0] - X[0]),) * 3, rel=1e-4)
    assert found[Ruler.AFTER, None].standard_error is None


def test_without_items_there_is_the_latent_ruler_and_without_a_tokenizer_none(spark, tmp_path):
    whole = subject(spark, tmp_path, plain(), later=LATER)
    assert scales(replace(whole, items=None)) == latent_scales(plain(), Measure(**SETTINGS, headline_eta=0.5))
    assert scales(replace(whole, tokenizer=None)) == []
