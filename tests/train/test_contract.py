"""What every tokenizer must do, whatever its kind: one suite over all kinds."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from train.habits import sample_of

from drq_spark.arrays import F32
from drq_spark.config import Config, Train, load_config
from drq_spark.errors import ConfigError, InputRefused
from drq_spark.kinds import KINDS
from drq_spark.sample.values import Sample
from drq_spark.tokenizer import Tokenizer
from drq_spark.tokenizer.latent_unit import effective_rms
from drq_spark.tokenizer.model import normalized
from drq_spark.train import driver
from drq_spark.train.driver import split, train_tokenizer
from drq_spark.train.evaluation import reconstruction_error
from drq_spark.train.registry import trainer

SIZES = (12, 7, 5)
DIM = 10
END_TO_END = {"latent_dim": 6, "hidden": 16, "epochs": 3, "batch_size": 64}


def clusters(rows: int = 700, seed: int = 0) -> F32:
    """Rows around the same twenty centres, in unequal numbers, float32 [rows, DIM]."""
    centres = np.random.default_rng(99).normal(size=(20, DIM)) * np.linspace(2.0, 0.3, DIM)
    rng = np.random.default_rng(seed)
    share = 1 / np.arange(1, 21)
    chosen = rng.choice(20, size=rows, p=share / share.sum())
    return (centres[chosen] + 0.3 * rng.normal(size=(rows, DIM))).astype(np.float32)


def config_of(name: str, **options: Any) -> Config:
    """Small books of different sizes, a short VAE, one thread; options are dotted names with __ for the dots."""
    small: dict[str, Any] = {
        "tokenizer.name": name,
        "tokenizer.codes": SIZES,
        "train.threads": 1,
        "train.kmeans.start_iterations": 2,
        "train.kmeans.balance_iterations": 4,
        "train.kmeans.beam_rounds": 2,
        "train.device": "cpu",
        "train.drq_vae.latent_dim": 6,
        "train.drq_vae.hidden": 16,
        "train.drq_vae.epochs": 3,
        "train.drq_vae.batch_size": 64,
        "train.drq_vae_cl.steps": 20,
        "train.drq_vae_cl.batch_size": 64,
        "train.behaviour.steps": 20,
        "train.behaviour.batch_size": 64,
        "train.behaviour.dim": 4,
        "train.behaviour.hidden": 8,
    }
    for section in ("rq_vae", "rqp_vae"):
        small |= {f"train.{section}.{key}": value for key, value in END_TO_END.items()}
    return load_config(options=small | {key.replace("__", "."): value for key, value in options.items()})


@pytest.fixture(params=KINDS)
def name(request: pytest.FixtureRequest) -> str:
    """Each kind."""
    return str(request.param)


@pytest.fixture(scope="module")
def trained() -> dict[str, Tokenizer]:
    """One tokenizer of each kind on the same sample."""
    return {name: train_tokenizer(sample_of(clusters()), config_of(name)) for name in KINDS}


def arrays(tokenizer: Tokenizer) -> list[F32]:
    """Every array of a tokenizer."""
    networks = [n.tensors().values() for n in (tokenizer.encoder, tokenizer.decoder) if n is not None]
    levels = (tokenizer.codebooks, tokenizer.prices, tokenizer.weights, tokenizer.tables)
    return [*(array for group in levels for array in group or ()), *(tensor for group in networks for tensor in group)]


def same(left: Tokenizer, right: Tokenizer) -> bool:
    """Equal to the bit."""
    pairs = zip(arrays(left), arrays(right), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs) and left.latent_rms == right.latent_rms


def test_shapes_and_types(name: str, trained: dict[str, Tokenizer]) -> None:
    tokenizer, x = trained[name], clusters(90, seed=1)
    encoding = tokenizer.encode(x)
    assert (tokenizer.kind, tokenizer.dim, tokenizer.codebook_sizes) == (name, DIM, SIZES)
    assert all(array.dtype == np.float32 for array in arrays(tokenizer))
    assert encoding.codes.dtype == np.int32
    assert encoding.codes.shape == (90, 3)
    assert (encoding.codes >= 0).all()
    assert (encoding.codes < SIZES).all()
    decoded = tokenizer.decode(encoding.codes)
    assert decoded.dtype == np.float64
    assert decoded.shape == x.shape
    assert np.isfinite(decoded).all()


def test_decoding_and_encoding_again_is_no_worse_than_the_mean(name: str, trained: dict[str, Tokenizer]) -> None:
    tokenizer, x = trained[name], clusters(400, seed=2)
    error = np.square(x - tokenizer.decode(tokenizer.encode(x).codes)).sum()
    assert error < 0.5 * np.square(x - x.mean(axis=0)).sum()


def test_same_seed_same_bits(name: str, trained: dict[str, Tokenizer]) -> None:
    again = train_tokenizer(sample_of(clusters()), config_of(name))
    assert same(again, trained[name])
    assert again.training == trained[name].training


def test_another_seed_another_tokenizer(name: str, trained: dict[str, Tokenizer]) -> None:
    assert not same(train_tokenizer(sample_of(clusters()), config_of(name, seed=1)), trained[name])


def test_sample_is_not_changed(name: str) -> None:
    x = clusters(200)
    x.setflags(write=False)
    train_tokenizer(sample_of(x), config_of(name))
    assert np.array_equal(x, clusters(200))


def test_level_figures_are_those_of_the_shipped_codes(name: str, trained: dict[str, Tokenizer]) -> None:
    """Training saw exactly the codes that the frozen kernel gives: the figures agree where a single row would show."""
    tokenizer, config = trained[name], config_of(name)
    data = split(sample_of(clusters()), config)
    centre = tokenizer.latent(data.fit).mean(axis=0, dtype=np.float64)
    for part, rows in (("fit", data.fit), ("held_out", data.held_out)):
        latents = tokenizer.latent(rows)
        encoding = tokenizer.encode_latent(latents)
        total = np.square(tokenizer.weighed(latents - centre)).sum()
        for level, figures in enumerate(tokenizer.training["levels"][part]):
            share = np.bincount(encoding.codes[:, level], minlength=SIZES[level]) / len(rows)
            entropy = -sum(p * np.log(p) for p in share if p > 0)
            assert figures["relative_mse"] == pytest.approx(encoding.residual_square[:, level].sum() / total, rel=1e-9)
            assert figures["perplexity"] == pytest.approx(np.exp(entropy) / SIZES[level], rel=1e-12)
            assert figures["used"] == (share > 0).mean()


def test_held_out_error_is_that_of_rows_kept_away(name: str, trained: dict[str, Tokenizer]) -> None:
    tokenizer = trained[name]
    data = split(sample_of(clusters()), config_of(name))
    assert (len(data.fit), len(data.held_out)) == (630, 70)
    decoded = tokenizer.decode(tokenizer.encode(data.held_out).codes)
    mean = data.fit.astype(np.float64).mean(axis=0)
    expected = np.square(data.held_out - decoded).sum() / np.square(data.held_out - mean).sum()
    assert tokenizer.training["held_out_relative_mse"] == pytest.approx(expected, rel=1e-9)


def test_latent_rms_is_that_of_the_whole_sample(name: str, trained: dict[str, Tokenizer]) -> None:
    latents = trained[name].latent(clusters())
    expected = effective_rms(latents, trained[name].weights or (None,) * 3)
    assert trained[name].latent_rms == pytest.approx(expected, rel=1e-9)


def test_training_is_plain_json_without_times(name: str, trained: dict[str, Tokenizer]) -> None:
    training = trained[name].training
    text = json.dumps(training, allow_nan=False)
    assert json.loads(text) == training
    assert training["sample"] == {"fingerprint": "abc", "fit": 630, "held_out": 70}
    assert training["settings"]["seed"] == 0
    own = {name} & set(Train.model_fields)
    assert own | {"device", "threads", "kmeans"} <= set(training["settings"]["train"])
    assert set(training["versions"]) == {"drq_spark", "numpy", "torch"}
    assert not [word for word in ("time", "date", "second", "duration") if word in text]


def test_without_held_out_rows(name: str) -> None:
    training = train_tokenizer(sample_of(clusters(200)), config_of(name, sample__holdout=0.0)).training
    assert training["levels"]["held_out"] == []
    assert "held_out_relative_mse" not in training


def test_fewer_items_than_codes_are_refused(name: str) -> None:
    with pytest.raises(InputRefused, match=r"^9 items .* 12 codes: lower tokenizer\.codes .*$"):
        train_tokenizer(sample_of(clusters(10)), config_of(name))


def test_as_many_items_as_codes(name: str) -> None:
    x = clusters(12)
    tokenizer = train_tokenizer(sample_of(x), config_of(name, sample__holdout=0.0))
    assert len(np.unique(tokenizer.encode(x).codes[:, 0])) == 12


@pytest.mark.parametrize("distinct", [2, 5])
def test_fewer_distinct_rows_than_codes(name: str, distinct: int) -> None:
    x = np.tile(clusters(distinct), (300 // distinct, 1))
    tokenizer = train_tokenizer(sample_of(x), config_of(name))
    sids = tokenizer.keys(tokenizer.encode(x).codes)
    assert len(np.unique(sids)) == distinct
    assert np.allclose(tokenizer.decode(tokenizer.encode(x).codes), x, atol=0.05 * np.abs(x).max())


def test_items_that_are_all_equal_are_refused(name: str) -> None:
    with pytest.raises(InputRefused, match="all 300 embeddings of the sample are equal"):
        train_tokenizer(sample_of(np.tile(clusters(1), (300, 1))), config_of(name))


def test_constant_dimensions_cost_nothing(name: str, trained: dict[str, Tokenizer]) -> None:
    x = clusters()
    wide = np.concatenate([x, np.full((len(x), 3), 7.0, np.float32)], axis=1)
    tokenizer = train_tokenizer(sample_of(wide), config_of(name))
    assert np.allclose(tokenizer.decode(tokenizer.encode(wide).codes)[:, DIM:], 7.0, atol=0.05)
    error = trained[name].training["held_out_relative_mse"]
    assert tokenizer.training["held_out_relative_mse"] == pytest.approx(error, abs=0.06)


@pytest.mark.parametrize(("scale", "offset"), [(1e-6, 0.0), (300.0, 30_000.0)])
def test_unnormalised_input(name: str, trained: dict[str, Tokenizer], scale: float, offset: float) -> None:
    x = (clusters() * scale + offset).astype(np.float32)
    tokenizer = train_tokenizer(sample_of(x), config_of(name))
    error = trained[name].training["held_out_relative_mse"]
    assert tokenizer.training["held_out_relative_mse"] == pytest.approx(error, abs=0.06)


def test_normalised_input_is_what_is_learned(name: str) -> None:
    x = clusters()
    tokenizer = train_tokenizer(sample_of(x), config_of(name, items__normalize="l2"))
    stretched = x * np.linspace(0.5, 9, len(x), dtype=np.float32)[:, None]
    assert tokenizer.normalize == "l2"
    assert (tokenizer.encode(stretched).codes == tokenizer.encode(x).codes).mean() > 0.999
    unit = normalized(x, "l2")
    assert reconstruction_error(tokenizer, unit, unit.mean(axis=0, dtype=np.float64)) < 0.5


def test_decode_depends_on_the_codes_alone(name: str, trained: dict[str, Tokenizer]) -> None:
    tokenizer = trained[name]
    codes = tokenizer.encode(clusters(50, seed=3)).codes
    assert np.allclose(tokenizer.decode(codes[::-1])[::-1], tokenizer.decode(codes), rtol=0, atol=1e-12)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_refused(name: str, bad: float) -> None:
    x = clusters(150)
    x[70, 1] = bad
    with pytest.raises(InputRefused, match="some hold NaN or infinity"):
        train_tokenizer(sample_of(x), config_of(name))


def test_progress_tells_every_level(name: str) -> None:
    seen: list[tuple[str, int, int, dict[str, float]]] = []

    def record(stage: str, done: int, total: int, **figures: float) -> None:
        seen.append((stage, done, total, figures))

    train_tokenizer(sample_of(clusters(150)), config_of(name), record)
    assert all(1 <= done <= total for _, done, total, _ in seen)
    levels = [entry for entry in seen if entry[0] in ("level 1", "level 2", "level 3")]
    assert [(done, total) for _, done, total, _ in levels] == [(1, 3), (2, 3), (3, 3)]
    assert all(0 < figures["held_out_relative_mse"] < 1 for *_, figures in levels)


def test_too_little_memory_is_refused_before_anything_is_done(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_of(name, train__max_memory_gb=0.01)
    sample = Sample(np.zeros((10, DIM), np.float32), "abc")
    monkeypatch.setattr(driver, "split", lambda *_: pytest.fail("the sample was copied first"))
    with pytest.raises(ConfigError, match=r"needs 0\.\d+ GB .*max_memory_gb is 0\.01"):
        train_tokenizer(sample, config)


def test_memory_grows_with_the_sample(name: str) -> None:
    config = load_config(options={"tokenizer.name": name})
    small, large = (trainer(name).memory_bytes(rows, 384, config) for rows in (10_000, 200_000))
    assert 190_000 * 384 * 4 * 1.2 < large - small < 190_000 * 384 * 4 * 3
