"""The contrastive stage: what it puts into the latents, what it may not see, and what it costs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from train.habits import sample_of

from drq_spark.arrays import F32
from drq_spark.config import Config, load_config
from drq_spark.errors import ConfigError, InputRefused, TrainingFailed
from drq_spark.tokenizer import Tokenizer
from drq_spark.train.behaviour_auc import behaviour_auc
from drq_spark.train.contract import TrainingData
from drq_spark.train.driver import fit_tokenizer, split

DIM = 8


def config_of(name: str = "drq_vae_cl", **options: Any) -> Config:
    """Short trainings; options: dotted names with __ for the dots."""
    small: dict[str, Any] = {
        "tokenizer.name": name,
        "tokenizer.codes": 16,
        "train.device": "cpu",
        "train.threads": 1,
        "train.drq_vae": {"latent_dim": DIM, "hidden": 16, "epochs": 2, "batch_size": 64},
        "train.drq_vae_cl": {"batch_size": 64, "steps": 300, "learning_rate": 0.01, "weight": 1.0},
    }
    return load_config(options=small | {key.replace("__", "."): value for key, value in options.items()})


def items(rows: int = 400) -> F32:
    """Embeddings whose last coordinate, the one that behaviour follows, is the weakest."""
    return (np.random.default_rng(3).normal(size=(rows, DIM)) * np.linspace(2.0, 0.4, DIM) + 1).astype(np.float32)


def data_of(**options: Any) -> TrainingData:
    """The split sample with behaviour."""
    return split(sample_of(items(), pairs=4000), config_of(**options))


def same(left: Tokenizer, right: Tokenizer) -> bool:
    """Equal books and networks, to the bit."""
    assert left.encoder is not None
    assert right.encoder is not None
    networks = zip(left.encoder.tensors().values(), right.encoder.tensors().values(), strict=True)
    return all(np.array_equal(a, b) for a, b in [*networks, *zip(left.codebooks, right.codebooks, strict=True)])


def sid_auc(tokenizer: Tokenizer, data: TrainingData) -> dict[str, float]:
    """AUC of the sum of the table rows of each item's SID, on the held-out users."""
    assert data.behaviour is not None
    codes = tokenizer.encode_latent(tokenizer.latent(data.behaviour.prepared)).codes
    return behaviour_auc(tokenizer.decode_latent(codes), data.behaviour.held_out_pairs, seed=0)


def test_sids_tell_what_users_do() -> None:
    """Content alone knows nothing of it here; the latents learn it and the books keep it."""
    data = data_of()
    with_pairs, without = (fit_tokenizer(data, config_of(name)) for name in ("drq_vae_cl", "drq_vae"))
    contrast = with_pairs.training["contrast"]
    for partner in ("uniform", "popularity"):
        assert sid_auc(without, data)[partner] < 0.6
        assert sid_auc(with_pairs, data)[partner] > 0.7
        assert contrast["auc"][partner] > 0.75
        assert contrast["raw_auc"][partner] < 0.6
        assert contrast["auc_unseen_items"][partner] > contrast["raw_auc_unseen_items"][partner]
    assert contrast["continuous_relative_mse"] < 0.1


def test_without_weight_the_pairs_change_nothing() -> None:
    data = data_of()
    light = {"train__drq_vae_cl__weight": 0.0, "train__drq_vae_cl__steps": 20}
    assert max(sid_auc(fit_tokenizer(data, config_of(**light)), data).values()) < 0.6


def test_held_out_users_and_items_only_judge() -> None:
    data, config = data_of(), config_of(train__drq_vae_cl__steps=30)
    seen = data.behaviour
    assert seen is not None
    hidden = np.where(seen.held_out_items[:, None], np.float32(3), seen.prepared)
    other = replace(seen, prepared=hidden, held_out_pairs=seen.held_out_pairs[::-1][:50])
    first, second = fit_tokenizer(data, config), fit_tokenizer(replace(data, behaviour=other), config)
    assert same(first, second)
    assert first.training["contrast"] != second.training["contrast"]


def test_progress_of_the_stage() -> None:
    seen: list[tuple[int, int]] = []

    def record(stage: str, done: int, total: int, **figures: float) -> None:
        if stage == "contrast":
            seen.append((done, total))
            assert figures["loss"] > 0

    fit_tokenizer(data_of(), config_of(train__drq_vae_cl__steps=30), record)
    assert seen == [(20, 30), (30, 30)]


def test_without_events_or_pairs_it_is_refused() -> None:
    data = data_of()
    assert data.behaviour is not None
    with pytest.raises(ConfigError, match=r"^drq_vae_cl learns from behaviour: give --events, or use drq_vae$"):
        fit_tokenizer(replace(data, behaviour=None), config_of())
    empty = replace(data.behaviour, pairs=np.empty((0, 2), np.int64))
    with pytest.raises(InputRefused, match=r"no such pair is left .* or use drq_vae$"):
        fit_tokenizer(replace(data, behaviour=empty), config_of())


@pytest.mark.parametrize("pairs", [1, 7])
def test_few_pairs(pairs: int) -> None:
    data = data_of()
    assert data.behaviour is not None
    few = replace(data.behaviour, pairs=data.behaviour.pairs[:pairs])
    assert fit_tokenizer(replace(data, behaviour=few), config_of()).training["contrast"]["steps"] == 8


def test_divergence_is_said() -> None:
    with pytest.raises(TrainingFailed, match=r"lower train\.drq_vae_cl\.(weight or )?learning_rate"):
        fit_tokenizer(data_of(), config_of(train__drq_vae_cl__learning_rate=1e4))
