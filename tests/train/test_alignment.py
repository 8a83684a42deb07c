"""An old tokenizer in a new space gives moved items the codes that they had."""

from __future__ import annotations

import numpy as np
import pytest

from drq_spark.arrays import F32, F64
from drq_spark.tokenizer import Tokenizer
from drq_spark.tokenizer.network import BehaviourEncoder, ContentDecoder, ResidualMLP
from drq_spark.train.alignment import SimilarityMap, similarity, turned

DIM, BEHAVIOUR = 5, 3
RANDOM = np.random.default_rng(4)


def numbers(*shape: int) -> F32:
    return RANDOM.standard_normal(shape).astype(np.float32)


def tokenizer(*, behaviour: bool) -> Tokenizer:
    width = DIM + BEHAVIOUR * behaviour
    books = tuple(numbers(6, width) / 2**level for level in range(3))
    prices = tuple(np.abs(numbers(6)) / 5 for _ in range(3))
    described = {"kind": "drq", "dim": DIM, "normalize": "none", "codebooks": books, "prices": prices, "beam": 2}
    if not behaviour:
        return Tokenizer(**described, latent_rms=(1.0,) * 3)  # type: ignore[arg-type]
    network = ResidualMLP(
        numbers(DIM), numbers(BEHAVIOUR, DIM), numbers(BEHAVIOUR), np.array([0.7], np.float32), numbers(4, DIM),
        numbers(4), numbers(BEHAVIOUR, 4),
    )  # fmt: skip
    shift = numbers(DIM)
    encoder = BehaviourEncoder(network, shift, numbers(BEHAVIOUR), np.array([1.5], np.float32))
    weights = tuple(np.r_[np.ones(DIM), np.full(BEHAVIOUR, 0.5**level)].astype(np.float32) for level in range(3))
    parts = {"encoder": encoder, "decoder": ContentDecoder(shift, width), "weights": weights}
    return Tokenizer(**described, **parts, latent_rms=(1.0,) * 3)  # type: ignore[arg-type]


def turn(dim: int) -> F64:
    """Orthonormal columns, [dim, DIM]."""
    return np.linalg.qr(RANDOM.standard_normal((dim, dim)))[0][:, :DIM]


@pytest.mark.parametrize("behaviour", [False, True])
@pytest.mark.parametrize("dim", [DIM, DIM + 2])
def test_turned_books_give_turned_items_their_codes(dim: int, behaviour: bool) -> None:
    old, x = tokenizer(behaviour=behaviour), numbers(400, DIM)
    by = SimilarityMap(turn(dim), 1.7, RANDOM.standard_normal(DIM), RANDOM.standard_normal(dim))
    moved = np.stack([by.turn @ (row - by.old_mean) * by.scale + by.new_mean for row in x.astype(np.float64)])
    new, before = turned(old, by), old.encode(x)
    found = new.encode(moved.astype(np.float32))
    assert new.dim == dim
    assert (found.codes == before.codes).all()
    assert np.allclose(found.residual_square, 1.7**2 * before.residual_square, rtol=1e-3, atol=1e-4)
    decoded = np.stack([by.turn @ (row - by.old_mean) * by.scale + by.new_mean for row in old.decode(before.codes)])
    assert np.allclose(new.decode(found.codes), decoded, atol=1e-4)


def test_fewer_dimensions_keep_what_they_hold() -> None:
    old, x = tokenizer(behaviour=False), numbers(50, DIM)
    by = SimilarityMap(np.eye(DIM)[:3], 1.0, np.zeros(DIM), np.zeros(3))
    assert np.allclose(turned(old, by).codebooks[0], old.codebooks[0][:, :3])
    assert turned(old, by).encode(x[:, :3]).codes.shape == (50, 3)


def test_sids_and_new_embeddings_tell_the_map() -> None:
    """Noise that the codes do not know does not turn it: only what items of one SID have in common counts."""
    old = tokenizer(behaviour=False)
    codes = RANDOM.integers(0, 6, (20_000, 3)).astype(np.int32)
    known = SimilarityMap(turn(DIM), 2.5, RANDOM.standard_normal(DIM), RANDOM.standard_normal(DIM))
    y = old.decode(codes) + 0.5 * RANDOM.standard_normal((20_000, DIM))
    new = (y - known.old_mean) @ known.turn.T * known.scale + known.new_mean
    found = similarity(old, (new + RANDOM.standard_normal(new.shape)).astype(np.float32), codes)
    assert np.allclose(found.turn, known.turn, atol=0.03)
    assert found.scale == pytest.approx(2.5, rel=0.02)


def test_an_encoder_without_a_content_part_cannot_be_turned() -> None:
    flat = ResidualMLP(
        numbers(DIM), numbers(DIM, DIM), numbers(DIM), np.ones(1, np.float32), numbers(2, DIM), numbers(2),
        numbers(DIM, 2),
    )  # fmt: skip
    vae = Tokenizer("drq_vae", DIM, "none", (numbers(4, DIM),), (1.0,), encoder=flat, decoder=flat)
    with pytest.raises(ValueError, match="drq_vae cannot be turned"):
        turned(vae, SimilarityMap(turn(DIM), 1.0, np.zeros(DIM), np.zeros(DIM)))
