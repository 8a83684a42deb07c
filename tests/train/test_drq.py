"""What is `drq`'s own: the latent, the weights of its levels, the fidelity budget, the tables learned from pairs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from drq_spark.arrays import F32
from drq_spark.config import Config, load_config
from drq_spark.progress import SILENT
from drq_spark.tokenizer import Tokenizer
from drq_spark.tokenizer.network import BehaviourEncoder, ContentDecoder
from drq_spark.train import drq
from drq_spark.train.behaviour_auc import behaviour_auc
from drq_spark.train.behaviour_encoder import BehaviourModel, train_behaviour
from drq_spark.train.contract import TrainingData, TrainingPairs
from drq_spark.train.evaluation import encoded, reconstruction_error
from drq_spark.train.latents import latents_of
from drq_spark.train.readout import Readout, _next_weight, chosen_weight
from drq_spark.vectors import unit_rows

DIM, GROUPS, SLACK = 12, 8, 0.1


def config(**options: Any) -> Config:
    small: dict[str, Any] = {
        "tokenizer.codes": 32, "train.threads": 1, "train.device": "cpu", "train.behaviour.steps": 200,
        "train.kmeans.start_iterations": 3, "train.kmeans.balance_iterations": 5, "train.kmeans.beam_rounds": 2,
        "train.drq.fidelity_slack": SLACK,
        "train.behaviour.batch_size": 128, "train.behaviour.dim": 6, "train.behaviour.hidden": 16,
    }  # fmt: skip
    return load_config(options=small | {key.replace("__", "."): value for key, value in options.items()})


@pytest.fixture(scope="module")
def data() -> TrainingData:
    """Items with a weak direction that decides what is used together, and strong ones that do not."""
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(1500, DIM)) * np.linspace(1.6, 1.0, DIM)).astype(np.float32)
    group = np.digitize(x[:, -1], np.quantile(x[:, -1], np.linspace(0, 1, GROUPS + 1)[1:-1]))
    left = rng.integers(0, 1500, 6000)
    right = np.array([rng.choice(np.flatnonzero(group == group[item])) for item in left])
    pairs = np.stack([left, right], axis=1)[left != right]
    return TrainingData(x, 150, "abc", behaviour=TrainingPairs(x, np.arange(1500) < 150, pairs[:5000], pairs[5000:]))


@pytest.fixture(scope="module")
def model(data: TrainingData) -> BehaviourModel:
    return train_behaviour(data, config(), SILENT.progress)


@pytest.fixture(scope="module")
def tokenizer(data: TrainingData) -> Tokenizer:
    return drq.DrqTrainer().fit(data, config(), SILENT.progress)


def auc(vectors: F32, data: TrainingData) -> float:
    assert data.behaviour is not None
    return behaviour_auc(vectors, data.behaviour.held_out_pairs, 0)["uniform"]


def test_the_latent_is_the_content_and_a_direction(data: TrainingData, model: BehaviourModel) -> None:
    encoder = drq.behaviour_encoder(model, data.fit)
    latents = latents_of(encoder, data.prepared)
    assert np.allclose(latents[:, :DIM] + encoder.shift, data.prepared, atol=1e-5)
    direction = unit_rows(model.network(data.prepared))
    assert np.allclose(latents[:, DIM:], encoder.scale[0] * (direction - encoder.centre), atol=1e-4)
    fit = latents[data.held_out_rows :].astype(np.float64)
    spread = np.square(fit - fit.mean(axis=0)).sum(axis=0)
    assert spread[DIM:].sum() == pytest.approx(4 * spread[:DIM].sum(), rel=1e-5)
    decoder = ContentDecoder(encoder.shift, encoder.width_out)
    assert np.allclose(decoder(latents), data.prepared, atol=1e-5)


@pytest.mark.parametrize(("beam", "shares"), [(1, [1.0, 0.5, 0.25]), (4, [1.0, 0.5, 1.0])])
def test_levels_weigh_behaviour_less_and_less(
    data: TrainingData, model: BehaviourModel, beam: int, shares: list[float]
) -> None:
    """w_l^2 times the readout's variance is the share times the scale; a beam's last choice is between whole paths."""
    encoder = drq.behaviour_encoder(model, data.fit)
    weights = drq.level_weights(encoder, 0.2, config(tokenizer__beam=beam))
    for weight, share in zip(weights, shares, strict=True):
        assert (weight[:DIM] == 1).all()
        assert np.square(weight[DIM:]) * 4 == pytest.approx(np.full(6, 0.2 * share), rel=1e-5)


def test_behaviour_reaches_the_sids_within_the_slack(data: TrainingData, tokenizer: Tokenizer) -> None:
    plain = drq.DrqTrainer().fit(replace(data, behaviour=None), config(), SILENT.progress)
    assert isinstance(tokenizer.encoder, BehaviourEncoder)
    assert (plain.encoder, plain.weights, plain.beam, tokenizer.beam) == (None, None, 4, 4)
    embeddings = [one.decode_latent(encoded(one, data.prepared)).astype(np.float32) for one in (plain, tokenizer)]
    assert auc(embeddings[1], data) > auc(embeddings[0], data) + 0.1
    mean = data.fit.mean(axis=0, dtype=np.float64)
    errors = [reconstruction_error(one, data.held_out, mean) for one in (plain, tokenizer)]
    assert errors[1] < (1 + SLACK + 0.05) * errors[0]  # and the noise of 150 items


def test_no_slack_no_weight(data: TrainingData) -> None:
    tokenizer = drq.DrqTrainer().fit(data, config(train__drq__fidelity_slack=0.0), SILENT.progress)
    budget = tokenizer.training["fidelity_budget"]
    assert budget["code_weight"] == 0
    assert tokenizer.weights is not None
    assert all((weight[DIM:] == 0).all() for weight in tokenizer.weights)


def test_without_an_item_to_judge_by_nothing_is_spent(data: TrainingData) -> None:
    """As many items as codes: all of them are fitted."""
    few = replace(data, prepared=data.prepared[:32], held_out_rows=0)
    training = drq.DrqTrainer().fit(few, config(), SILENT.progress).training
    budget = training["fidelity_budget"]
    assert training["warnings"][0].startswith("fewer than 100 items could judge what behaviour costs")
    assert (budget["code_weight"], budget["table_weight"], budget["scales"]) == (0.0, 0.0, [])


def test_fits_that_are_only_compared_take_16_rounds_at_most() -> None:
    rounds = [drq._brief(config(train__kmeans__beam_rounds=most)).train.kmeans.beam_rounds for most in (64, 3)]
    assert rounds == [16, 3]


def test_the_budget_is_read_off_the_line(tokenizer: Tokenizer) -> None:
    budget = tokenizer.training["fidelity_budget"]
    slope, base = np.polyfit(budget["scales"], budget["unseen_relative_mse"], 1)
    assert budget["line"] == pytest.approx([base, slope])
    assert budget["code_weight"] == pytest.approx(np.clip(SLACK * 5 / 6 * base / slope, 0, 1))
    assert budget["items"] == 1350
    errors, weights = np.array(budget["tables"]["unseen_relative_mse"]), budget["tables"]["weights"]
    rises, allowed = errors - errors[0], SLACK / 6 * errors[0]
    assert weights == sorted(weights)
    near = np.abs(rises - allowed) <= 0.1 * allowed
    if budget["table_weight"] == 0.032:
        assert rises[-1] <= 1.1 * allowed
    else:
        assert near[weights.index(budget["table_weight"])]


@pytest.fixture(scope="module")
def readout(data: TrainingData, tokenizer: Tokenizer) -> Readout:
    assert data.behaviour is not None
    codes = encoded(tokenizer, data.prepared)
    return Readout(tokenizer, data.fit, codes[data.held_out_rows :], codes, data.behaviour.pairs)


class TestReadout:
    """Tables learned from pairs."""

    def test_only_tables_change(self, readout: Readout) -> None:
        learned = readout.learned(0.01, config())
        assert learned.tables is not None
        assert readout.tokenizer.tables is not None
        assert not np.array_equal(learned.tables[0], readout.tokenizer.tables[0])
        assert replace(learned, tables=readout.tokenizer.tables) == readout.tokenizer

    def test_more_weight_more_behaviour_in_the_reconstruction_and_less_fidelity(
        self, readout: Readout, data: TrainingData
    ) -> None:
        mean = readout.x.mean(axis=0, dtype=np.float64)
        tokenizers = [readout.learned(weight, config()) for weight in (0.002, 0.03, 0.3)]
        errors = [reconstruction_error(one, readout.x, mean) for one in tokenizers]
        aucs = [auc(one.decode(readout.pair_codes).astype(np.float32), data) for one in tokenizers]
        assert errors == sorted(errors)
        assert aucs[2] > aucs[0] + 0.01

    def test_the_behaviour_part_is_free(self, readout: Readout) -> None:
        """Without weight the content is descended for fidelity alone, whatever becomes of the behaviour part."""
        mean = readout.x.mean(axis=0, dtype=np.float64)
        before, after = (
            reconstruction_error(one, readout.x, mean) for one in (readout.tokenizer, readout.learned(1e-9, config()))
        )
        assert after < 1.002 * before

    def test_rows_of_unused_codes_stay(self, readout: Readout) -> None:
        solved = readout.tokenizer.tables
        assert solved is not None
        kept = readout.codes[:, 0] != 0
        part = Readout(readout.tokenizer, readout.x[kept], readout.codes[kept], readout.pair_codes, readout.pairs)
        tables = part.learned(0.01, config()).tables
        assert tables is not None
        assert np.array_equal(tables[0][0], solved[0][0])
        assert not (tables[0][1:] == solved[0][1:]).all(axis=1).any()

    def test_where_nothing_is_too_dear_the_largest_weight_is_taken(self, readout: Readout, data: TrainingData) -> None:
        weight, found = chosen_weight(readout, data.held_out, 10.0, config())
        assert weight == 0.032
        assert found["weights"] == [0.0, 0.016, 0.032]

    @pytest.mark.parametrize(
        ("rises", "weight"),
        [
            ({0.0: 0.0, 0.016: 3.0}, 0.016 / 3),
            ({0.0: 0.0, 0.016: 0.8}, 0.02),
            ({0.0: 0.0, 0.016: 0.1}, 0.032),  # the line says more
            ({0.0: 0.0, 0.016: -0.1}, 0.032),
            ({0.0: 0.0, 0.016: 0.5, 0.032: 1.5}, 0.024),
            ({0.0: 0.0, 0.016: 3.0, 0.004: 0.5, 0.032: 9.0}, 0.004 + 0.012 / 5),
        ],
    )
    def test_the_next_weight_is_where_the_line_says(self, rises: dict[float, float], weight: float) -> None:
        """What is allowed is 1."""
        assert _next_weight(rises, 1.0) == pytest.approx(weight)
