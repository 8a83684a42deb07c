"""Whole retrainings: what starts at the old books, what is turned first, and what can only be renamed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from drq_spark.arrays import F32
from drq_spark.config import Config, load_config
from drq_spark.sample.values import Behaviour, Sample
from drq_spark.tokenizer import Tokenizer
from drq_spark.tokenizer.artifact import load_tokenizer, save_tokenizer, tokenizer_id
from drq_spark.train import stability
from drq_spark.train.driver import fit_tokenizer, split
from drq_spark.train.warm_start import Pull

DIM, ROWS = 8, 900
RANDOM = np.random.default_rng(2)
X = (RANDOM.standard_normal((60, DIM))[np.arange(ROWS) % 60] + 0.3 * RANDOM.standard_normal((ROWS, DIM))).astype(
    np.float32
)


def config(**options: Any) -> Config:
    small: dict[str, Any] = {
        "tokenizer.codes": 12, "train.threads": 1, "train.device": "cpu", "train.kmeans.beam_rounds": 2,
        "train.behaviour.steps": 40, "train.behaviour.batch_size": 64, "train.behaviour.dim": 4,
        "train.behaviour.hidden": 8, "train.stability.budget": 0.2,
    }  # fmt: skip
    return load_config(options=small | {key.replace("__", "."): value for key, value in options.items()})


@pytest.fixture(autouse=True)
def short_ladder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stability, "LADDER", (Pull(float("inf")), Pull(1.0, 0.25)))


def sample(x: F32, *, events: bool = False) -> Sample:
    keys = np.random.default_rng(3).permutation(len(x)).astype(np.int64)
    pairs = np.stack([np.arange(600), (np.arange(600) + 60) % 600], axis=1)
    behaviour = Behaviour(x, keys, pairs, pairs[::7]) if events else None
    return Sample(x, "abc", keys, behaviour=behaviour)


def again(old: Tokenizer, known: F32, x: F32, settings: Config, *, events: bool = False) -> Tokenizer:
    """A retraining on x, whose first rows are items with the SIDs that `known` has under the old tokenizer."""
    codes = np.full((len(x), old.levels), -1, np.int32)
    codes[: len(known)] = old.encode(known).codes
    return fit_tokenizer(split(replace(sample(x, events=events), codes=codes), settings, old), settings)


def trained(x: F32, settings: Config, *, events: bool = False) -> Tokenizer:
    return fit_tokenizer(split(sample(x, events=events), settings), settings)


@pytest.mark.parametrize("name", ["drq", "rq_kmeans", "drq_vae"])
def test_items_of_the_same_kinds_keep_their_sids(name: str, tmp_path: Any) -> None:
    settings = config(tokenizer__name=name, train__drq_vae__epochs=2)
    old = trained(X[:800], settings)
    new = again(old, X[:800], X, settings)
    told = new.training["retrained"]
    assert (told["from"], told["start"], told["aligned"]) == (tokenizer_id(old), "books", False)
    same = (new.encode(X[:800]).codes == old.encode(X[:800]).codes).all(axis=1).mean()
    assert told["kept"] == pytest.approx(same)
    assert told["kept"] > 0.9
    assert [rung["pull"] for rung in told["frontier"]] == [None, 1.0]
    assert load_tokenizer(save_tokenizer(new, str(tmp_path))).training["retrained"] == told


def test_a_new_embedding_model_is_turned_to_first() -> None:
    settings = config()
    old = trained(X[:800], settings)
    turn = np.linalg.qr(np.random.default_rng(5).standard_normal((DIM + 3, DIM)))[0].T
    moved = (3.0 * X @ turn + 1.0).astype(np.float32)
    new = again(old, X[:800], moved, settings)
    assert new.dim == DIM + 3
    assert new.training["retrained"]["aligned"]
    same = (new.encode(moved[:800]).codes == old.encode(X[:800]).codes).all(axis=1).mean()
    assert same > 0.8


def test_the_direction_of_behaviour_stays() -> None:
    settings = config()
    old = trained(X[:800], settings, events=True)
    new = again(old, X[:800], X, settings, events=True)
    assert new.training["retrained"]["kept"] > 0.9
    assert old.encoder is not None
    assert new.encoder is not None
    for name, tensor in old.encoder.tensors().items():
        assert np.array_equal(new.encoder.tensors()[name], tensor)
    assert new.training["fidelity_budget"] == old.training["fidelity_budget"]
    assert "auc" in new.training["sid"]


@pytest.mark.parametrize(
    "changes",
    [{"tokenizer__name": "rqp_vae", "train__rqp_vae__steps": 20}, {"train__stability__budget": 0.0}],
    ids=["trained end to end", "a budget that allows no pull"],
)
def test_what_has_no_common_start_is_renamed(changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stability.Frontier, "chosen", lambda frontier, budget: None)
    settings = config(**changes)
    old = trained(X[:800], settings)
    new, free = again(old, X[:800], X, settings), trained(X, settings)
    before, renamed, as_fitted = (each.encode(X[:800]).codes for each in (old, new, free))
    assert new.training["retrained"]["start"] == "matching"
    assert ((renamed == before).mean(axis=0) >= (as_fitted == before).mean(axis=0)).all()
    assert np.allclose(new.decode(renamed), free.decode(as_fitted), atol=1e-5)


def test_other_shapes_are_fitted_freely() -> None:
    old = trained(X[:800], config())
    codes = old.encode(X[:800]).codes
    settings = config(tokenizer__codes=10)
    new = fit_tokenizer(split(replace(sample(X[:800]), codes=codes), settings, old), settings)
    assert new.codebook_sizes == (10, 10, 10)
    assert "kept" not in new.training["retrained"]
