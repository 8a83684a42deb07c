"""The behaviour encoder: what it learns, what it may not see, and the figures that judge it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from train.habits import sample_of

from drq_spark.arrays import F32
from drq_spark.config import Config, load_config
from drq_spark.errors import InputRefused, TrainingFailed
from drq_spark.progress import SILENT
from drq_spark.train import behaviour_auc as behaviour_figures
from drq_spark.train import behaviour_encoder as behaviour
from drq_spark.train.behaviour_auc import behaviour_auc
from drq_spark.train.behaviour_encoder import BehaviourModel, train_behaviour
from drq_spark.train.contract import TrainingData, TrainingPairs
from drq_spark.train.driver import split

DIM = 8


def config_of(**options: Any) -> Config:
    """A small encoder, few steps; options: seed, keys of train.behaviour, or dotted names with __ for the dots."""
    small = {"dim": DIM, "hidden": 16, "batch_size": 64, "steps": 45, "learning_rate": 0.02}
    seed = {"seed": options.pop("seed", 0)}
    named = {key if "__" in key else f"train__behaviour__{key}": value for key, value in (small | options).items()}
    machine = {"train.device": "cpu", "train.threads": 1}
    return load_config(options=machine | seed | {key.replace("__", "."): value for key, value in named.items()})


def items(rows: int = 400, scale: float = 1.0) -> F32:
    """Embeddings whose last coordinate, the one that behaviour follows, is the weakest."""
    spread = np.linspace(2.0, 0.4, DIM)
    return (scale * (np.random.default_rng(3).normal(size=(rows, DIM)) * spread + 1)).astype(np.float32)


def data_of(x: F32, pairs: int = 2000, **options: Any) -> TrainingData:
    """The split sample with behaviour."""
    return split(sample_of(x, pairs), config_of(**options))


def pairs_of(data: TrainingData) -> TrainingPairs:
    """The behaviour, which is there."""
    assert data.behaviour is not None
    return data.behaviour


def trained(data: TrainingData, **options: Any) -> BehaviourModel:
    """The encoder of these data."""
    return train_behaviour(data, config_of(**options), SILENT.progress)


def same(left: BehaviourModel, right: BehaviourModel) -> bool:
    """Equal to the bit."""
    tensors = zip(left.network.tensors().values(), right.network.tensors().values(), strict=True)
    return all(np.array_equal(a, b) for a, b in tensors)


def test_learns_what_users_do() -> None:
    data = data_of(items(), pairs=4000)
    figures = trained(data, steps=300).figures
    for unseen in ("", "_unseen_items"):
        for partner in ("uniform", "popularity"):
            assert figures["raw_auc" + unseen][partner] < 0.65
            assert figures["auc" + unseen][partner] > 0.8
    assert (figures["pairs"], figures["held_out_pairs"]) == (len(pairs_of(data).pairs), 800)
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures


def test_vectors_are_unit_and_those_of_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """What ships equals what was trained, up to float32 arithmetic."""
    runs: list[behaviour._Run] = []
    real = behaviour._Run.__init__

    def spy(self: behaviour._Run, *arguments: Any) -> None:
        real(self, *arguments)
        runs.append(self)

    monkeypatch.setattr(behaviour._Run, "__init__", spy)
    model, x = trained(data_of(items())), items(50)
    with torch.no_grad():
        run = runs[0]
        run.model.double()
        u = run.model((torch.from_numpy(x).double() - run.mean) / run.coordinates.unit)
    expected = torch.nn.functional.normalize(u, dim=1).numpy()
    vectors = model.embed(x)
    assert vectors.dtype == np.float32
    assert np.allclose(vectors, expected, rtol=0, atol=1e-6)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert np.abs(model.network.out).max() > 0


def test_untrained_is_mildly_whitened_pca() -> None:
    """With a learning rate of next to nothing: cosines of principal components divided by variance^(1/4)."""
    data = data_of(items())
    fit = data.fit.astype(np.float64)
    variance, axes = np.linalg.eigh(np.cov(fit.T))
    components = (fit - fit.mean(axis=0)) @ axes[:, :-7:-1] / variance[:-7:-1] ** 0.25
    unit = components / np.linalg.norm(components, axis=1, keepdims=True)
    vectors = trained(data, learning_rate=1e-12, steps=1, dim=6).embed(data.fit)
    assert np.allclose(vectors @ vectors.T, unit @ unit.T, atol=1e-4)


def test_same_seed_same_bits_and_another_seed_another_encoder() -> None:
    data = data_of(items())
    assert same(trained(data), trained(data))
    assert not same(trained(data), trained(data, seed=1))


def test_held_out_users_and_items_only_judge() -> None:
    data = data_of(items())
    seen = pairs_of(data)
    hidden = np.where(seen.held_out_items[:, None], np.float32(1e3), seen.prepared)
    other = replace(seen, prepared=hidden, held_out_pairs=seen.held_out_pairs[::-1][:50])
    assert not np.array_equal(hidden, seen.prepared)
    first, second = trained(data), trained(replace(data, behaviour=other))
    assert same(first, second)
    assert first.figures["auc"] != second.figures["auc"]


@pytest.mark.parametrize("scale", [2.0**-14, 2.0**9])
def test_scale_of_the_embeddings_does_not_matter(scale: float) -> None:
    """Powers of two, which no rounding sees: the vectors stay."""
    plain, scaled = (trained(data_of(items(scale=s))).embed(items(scale=s)) for s in (1.0, scale))
    assert np.allclose(scaled, plain, rtol=0, atol=1e-4)


@pytest.mark.parametrize("pairs", [2, 50])
def test_few_pairs(pairs: int) -> None:
    """A batch is never larger than what is there; training has eight passes."""
    data = data_of(items(), pairs=pairs, sample__holdout=0.0)
    model = trained(data, batch_size=1024)
    assert model.figures["steps"] == 8
    assert np.isfinite(model.embed(items())).all()


def test_single_pair_without_judges() -> None:
    data = data_of(items())
    seen = pairs_of(data)
    lonely = replace(seen, pairs=seen.pairs[:1], held_out_pairs=seen.held_out_pairs[:0])
    figures = trained(replace(data, behaviour=lonely)).figures
    assert figures == {"steps": 8, "pairs": 1, "held_out_pairs": 0, "loss": 0.0}


def test_items_that_do_not_differ_but_for_one() -> None:
    x = np.full((300, DIM), 3.0, np.float32)
    x[7] = 4.0
    assert np.isfinite(trained(data_of(x)).embed(x)).all()


def test_more_dimensions_than_the_embeddings() -> None:
    assert trained(data_of(items()), dim=64).network.width_out == DIM


def test_progress_ends_with_the_last_step() -> None:
    seen: list[tuple[str, int, int]] = []

    def record(stage: str, done: int, total: int, **figures: float) -> None:
        seen.append((stage, done, total))
        assert figures["loss"] > 0

    train_behaviour(data_of(items()), config_of(), record)
    assert seen == [("behaviour", 20, 45), ("behaviour", 40, 45), ("behaviour", 45, 45)]


def test_without_pairs_it_is_refused() -> None:
    data = data_of(items())
    empty = replace(pairs_of(data), pairs=np.empty((0, 2), np.int64))
    with pytest.raises(
        InputRefused,
        match=r"no such pair is left .* or leave --events out$",
    ):
        trained(replace(data, behaviour=empty))


def test_divergence_is_said() -> None:
    with pytest.raises(TrainingFailed, match=r"lower train\.behaviour\.learning_rate"):
        trained(data_of(items()), learning_rate=1e30)


def slow_auc(vectors: F32, pairs: NDArray[np.int64], partners: NDArray[np.int64]) -> float:
    """Every pair against every pair with a partner from a list, one by one."""
    centred = vectors - vectors.astype(np.float64).mean(axis=0)
    cosine = [[float(a @ b) / (np.linalg.norm(a) * np.linalg.norm(b)) for b in centred] for a in centred]
    true = [cosine[a][b] for a, b in pairs]
    other = [cosine[a][b] for a, _ in pairs for b in partners if a != b]
    won = [1.0 if p > n + 1e-9 else 0.5 if p > n - 1e-9 else 0.0 for p in true for n in other]
    return sum(won) / len(won)


def test_auc_is_that_of_all_possible_partners() -> None:
    """The mean over seeds tends to the figure with every partner: every item, or every right end."""
    rng = np.random.default_rng(5)
    vectors, pairs = rng.normal(size=(6, 3)).astype(np.float32) + 2, rng.integers(0, 6, (30, 2))
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    found = [behaviour_auc(vectors, pairs, seed) for seed in range(400)]
    everyone = {"uniform": np.arange(6), "popularity": pairs[:, 1]}
    for name, partners in everyone.items():
        mean = np.mean([auc[name] for auc in found])
        assert mean == pytest.approx(slow_auc(vectors, pairs, partners), abs=0.015)


def test_popularity_alone_is_worth_nothing_against_popular_partners() -> None:
    """Popular items look alike and users take them at random: only the uniform figure is fooled."""
    rng = np.random.default_rng(6)
    vectors = rng.normal(size=(500, 20)).astype(np.float32)
    vectors[:20] = vectors[0] + 0.1 * vectors[:20]
    pairs = rng.integers(0, 20, (4000, 2))
    auc = behaviour_auc(vectors, pairs[pairs[:, 0] != pairs[:, 1]], seed=0)
    assert auc["uniform"] > 0.9
    assert auc["popularity"] == pytest.approx(0.5, abs=0.03)


def test_equal_vectors_tie() -> None:
    pairs = np.array([[0, 1], [2, 3], [4, 5]])
    assert behaviour_auc(np.ones((6, 4), np.float32), pairs, seed=0) == {"uniform": 0.5, "popularity": 0.5}


def test_no_more_pairs_are_judged_than_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    data = data_of(items())
    whole = behaviour_auc(data.prepared, pairs_of(data).held_out_pairs, seed=0)
    monkeypatch.setattr(behaviour_figures, "_JUDGED_PAIRS", 40)
    drawn = behaviour_auc(data.prepared, pairs_of(data).held_out_pairs, seed=0)
    assert drawn != whole
    assert drawn["uniform"] == pytest.approx(whole["uniform"], abs=0.25)


def test_no_pairs_no_figure() -> None:
    assert behaviour_auc(np.ones((3, 2), np.float32), np.empty((0, 2), np.int64), seed=0) == {}
