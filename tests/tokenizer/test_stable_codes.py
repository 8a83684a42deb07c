"""Codes that no BLAS, processor or batch can change: how far a latent may move, and the rows where that decides."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from tokenizer.samples import behaving, full, pattern, plain, rows

from drq_spark.tokenizer import Tokenizer, fixed_order
from drq_spark.tokenizer.network import FIXED, BehaviourEncoder, ResidualMLP, silu

SIZES = (8, 5, 4)
PRICES = tuple(pattern(size, start=9, scale=1 / 4) for size in SIZES)
WEIGHTS = tuple(np.abs(pattern(6, start=level)) + np.float32(0.25) for level in range(3))
KINDS = {
    "greedy": plain(sizes=SIZES),
    "priced": replace(plain(sizes=SIZES), prices=PRICES),
    "weighed": replace(plain(sizes=SIZES), weights=WEIGHTS),
    "beam": replace(plain(sizes=SIZES), beam=3),
    "beam, priced and weighed": replace(plain(sizes=SIZES), beam=3, prices=PRICES, weights=WEIGHTS),
}


def widest_move(tokenizer: Tokenizer, delta: np.ndarray) -> np.ndarray:
    """The largest ||W^l delta|| of all levels, by its definition."""
    weights = tokenizer.weights or [np.ones(delta.shape[1])]
    return np.max([np.linalg.norm(delta * weight.astype(float), axis=1) for weight in weights], axis=0)


@pytest.mark.parametrize("kind", KINDS)
def test_no_move_within_reach_changes_a_sid(kind):
    tokenizer, random = KINDS[kind], np.random.default_rng(3)
    z = rows(300).astype(np.float32)
    found = tokenizer.encode_latent(z, reach=True)
    assert (found.reach >= 0).mean() > 0.95
    for _ in range(40):
        delta = random.normal(size=z.shape)
        delta *= (0.999 * found.reach.clip(0) / widest_move(tokenizer, delta))[:, None]
        assert tokenizer.encode_latent((z + delta).astype(np.float32)).codes.tolist() == found.codes.tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_reach_is_no_idle_promise(kind):
    """Some moves of a few times the reach do change SIDs."""
    tokenizer, random = KINDS[kind], np.random.default_rng(4)
    z = rows(300).astype(np.float32)
    found, changed = tokenizer.encode_latent(z, reach=True), np.zeros(300, bool)
    for _ in range(60):
        delta = random.normal(size=z.shape)
        delta *= (6 * found.reach.clip(0) / widest_move(tokenizer, delta))[:, None]
        changed |= (tokenizer.encode_latent((z + delta).astype(np.float32)).codes != found.codes).any(axis=1)
    assert changed.mean() > 0.2


def test_between_two_codewords_reach_is_at_most_the_way_to_the_boundary():
    book = np.array([[0.0, 0.0], [4.0, 0.0]], np.float32)
    tokenizer = Tokenizer("by hand", 2, "none", (book,), latent_rms=(1.0,))  # type: ignore[arg-type]
    z = np.array([[1.0, 0.0], [1.0, 3.0], [2.0, 0.0]], np.float32)
    reach = tokenizer.encode_latent(z, reach=True).reach
    assert reach.tolist() == pytest.approx([1.0, (math.sqrt(18) - math.sqrt(10)) / 2, 0.0], abs=1e-9)
    assert (reach <= [1.0, 1.0, 0.0]).all()


def among_latents(tokenizer: Tokenizer) -> Tokenizer:
    """With codewords where the latents are, so that there are boundaries between them."""
    z = tokenizer.latent(tokenizer.prepare_input(rows(60, tokenizer.dim)))
    centred, random = (z - z.mean(axis=0)).astype(np.float32), np.random.default_rng(5)
    books = [z, centred / 2, centred / 4]
    picked = [book[random.choice(60, size, replace=False)] for book, size in zip(books, SIZES, strict=True)]
    return replace(tokenizer, codebooks=tuple(picked))


@pytest.mark.parametrize(
    "tokenizer",
    [among_latents(full()), among_latents(full(beam=3)), among_latents(behaving())],
    ids=["greedy", "beam", "behaviour"],
)
@pytest.mark.parametrize("seed", range(5))
def test_whatever_a_blas_may_round_the_sids_are_those_of_the_fixed_order(tokenizer, seed, monkeypatch):
    """A BLAS a billion times worse than any: some SIDs would be other ones."""
    x = tokenizer.prepare_input(rows(400, tokenizer.dim))
    expected = tokenizer.encode_latent(tokenizer.encoder(x, FIXED).astype(np.float32)).codes
    exact, random = type(tokenizer.encoder).bounded, np.random.default_rng(seed)

    def careless(encoder, given):
        value, _ = exact(encoder, given)
        error = np.full(value.shape, 0.02)
        return value + random.uniform(-1, 1, value.shape) * error, 1.001 * 2 * error

    monkeypatch.setattr(type(tokenizer.encoder), "bounded", careless)
    z, found = tokenizer.encode_prepared(x)
    assert found.codes.tolist() == expected.tolist()
    naive = tokenizer.encode_latent(careless(tokenizer.encoder, x)[0].astype(np.float32)).codes
    assert (naive != expected).any()
    assert z.shape == (400, tokenizer.latent_dim)


@pytest.mark.parametrize("tokenizer", [full(), behaving()], ids=["network", "behaviour"])
def test_the_bound_holds_for_other_orders(tokenizer):
    """The coordinates of x and the hidden ones in another order are the same sums, added up otherwise."""
    x = tokenizer.prepare_input(rows(200, tokenizer.dim))
    value, error = tokenizer.encoder.bounded(x)
    assert (np.abs(tokenizer.encoder(x, FIXED) - value) <= error).all()
    network = tokenizer.encoder.network if isinstance(tokenizer.encoder, BehaviourEncoder) else tokenizer.encoder
    for seed in range(20):
        turned, order = shuffled(network, seed)
        again, own = turned.bounded(x[:, order])
        plainly, bound = network.bounded(x)
        assert (np.abs(again - plainly) <= bound).all()
        np.testing.assert_allclose(own, bound, rtol=1e-6)
    assert error.max() < 1e-9


def shuffled(network: ResidualMLP, seed: int) -> tuple[ResidualMLP, np.ndarray]:
    random = np.random.default_rng(seed)
    order, inner = random.permutation(network.width_in), random.permutation(len(network.hidden_bias))
    return replace(
        network,
        shift=network.shift[order],
        linear=network.linear[:, order],
        hidden=network.hidden[inner][:, order],
        hidden_bias=network.hidden_bias[inner],
        out=network.out[:, inner],
    ), order


def test_the_fixed_order_gives_the_same_bits_in_every_batch():
    random = np.random.default_rng(0)
    a, b = random.normal(size=(700, 33)), random.normal(size=(40, 33))
    whole = fixed_order.product(a, b)
    assert whole.tobytes() == np.concatenate([fixed_order.product(part, b) for part in np.array_split(a, 9)]).tobytes()
    exact = [
        [math.fsum(x * y for x, y in zip(left, right, strict=True)) for right in b.tolist()] for left in a[:20].tolist()
    ]
    np.testing.assert_allclose(whole[:20], exact, rtol=1e-12, atol=1e-14)


def test_the_fixed_exponential_is_that_of_the_standard_library():
    x = np.concatenate([np.linspace(-700, 700, 2001), np.random.default_rng(1).normal(size=2000)])
    np.testing.assert_allclose(fixed_order.exponential(x), [math.exp(value) for value in x], rtol=1e-15)
    wide = np.array([-1e300, -750.0, -1.0, 0.0, 1.0, 750.0, 1e300])
    np.testing.assert_allclose(fixed_order.silu(wide), silu(wide), rtol=1e-14, atol=1e-290)
