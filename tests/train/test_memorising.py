"""A decoder that memorises is caught; honest ones, also bad ones, are not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from drq_spark.config import load_config
from drq_spark.errors import TrainingFailed
from drq_spark.sample.values import Sample
from drq_spark.tokenizer import Tokenizer
from drq_spark.tokenizer.network import ResidualMLP
from drq_spark.train import driver
from drq_spark.train.contract import TrainingData
from drq_spark.train.driver import train_tokenizer
from drq_spark.train.evaluation import reconstruction_error
from drq_spark.train.memorising import refuse_memorising_decoder

DIM = 8


def data() -> TrainingData:
    x = np.random.default_rng(0).normal(size=(500, DIM)) * np.linspace(2, 0.2, DIM)
    return TrainingData(x.astype(np.float32), 100, "abc")


def memorising(given: TrainingData) -> Tokenizer:
    """Codes from a codebook of noise, and a decoder with as many hidden units as items, solved to hit every item."""
    rng = np.random.default_rng(1)
    books = tuple(rng.normal(size=(64, DIM)).astype(np.float32) for _ in range(3))
    tokenizer = Tokenizer("parrot", DIM, "none", books, latent_rms=(1.0,) * 3)
    latent = tokenizer.decode_latent(tokenizer.encode(given.fit).codes)
    width = len(given.fit)
    hidden, bias = rng.normal(size=(width, DIM)) * 3, rng.normal(size=width)
    inner = latent @ hidden.T + bias
    features = inner / (1 + np.exp(-inner))
    out = np.linalg.lstsq(features, given.fit, rcond=None)[0].T
    return replace(
        tokenizer,
        decoder=ResidualMLP(
            shift=np.zeros(DIM, np.float32),
            linear=np.zeros((DIM, DIM), np.float32),
            bias=np.zeros(DIM, np.float32),
            scale=np.ones(1, np.float32),
            hidden=hidden.astype(np.float32),
            hidden_bias=bias.astype(np.float32),
            out=out.astype(np.float32),
        ),
    )


def test_a_memorising_decoder_is_caught() -> None:
    given = data()
    tokenizer = memorising(given)
    assert reconstruction_error(tokenizer, given.fit, given.fit.mean(axis=0, dtype=np.float64)) < 0.05  # looks perfect
    with pytest.raises(TrainingFailed, match=r"^the decoder of parrot memorises items: its relative error is 0\.0"):
        refuse_memorising_decoder(tokenizer, given)


def test_training_ends_with_the_check(monkeypatch: pytest.MonkeyPatch) -> None:
    class Parrot:
        def memory_bytes(self, *_: object) -> int:
            return 0

        def fit(self, given: TrainingData, *_: object) -> Tokenizer:
            return memorising(given)

    monkeypatch.setattr(driver, "trainer", lambda name: Parrot())
    with pytest.raises(TrainingFailed, match="memorises"):
        train_tokenizer(Sample(data().prepared, "abc"), load_config(options={"sample.holdout": 0.2}))


def test_without_unseen_items_nothing_can_be_said() -> None:
    given = replace(data(), held_out_rows=0)
    refuse_memorising_decoder(memorising(given), given)


@pytest.mark.parametrize("gain", [0.0, 0.5, 1.0])
def test_a_decoder_that_is_only_bad_passes(gain: float) -> None:
    """Its figures are bad on both parts: nobody is deceived."""
    tokenizer = memorising(data())
    assert isinstance(tokenizer.decoder, ResidualMLP)
    plain = replace(
        tokenizer.decoder,
        out=np.zeros_like(tokenizer.decoder.out),
        linear=np.float32(gain) * np.eye(DIM, dtype=np.float32),
    )
    refuse_memorising_decoder(replace(tokenizer, decoder=plain), data())
