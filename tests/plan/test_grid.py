"""Cheap fits: a fit with many levels holds those with fewer; what is counted, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from pipeline.catalogues import clustered

from drq_spark.config import Config, load_config
from drq_spark.errors import ConfigError, InputRefused
from drq_spark.formulas.overlap import expected_overlap
from drq_spark.plan.grid import CODES, LEVELS, fit_shapes, quick, usable
from drq_spark.progress import SILENT
from drq_spark.sample.values import Sample
from drq_spark.train.contract import TrainingData
from drq_spark.train.driver import fit_tokenizer, split


def config(*more: str) -> Config:
    return load_config(settings=("train.threads=1", "sample.holdout=0.2", *more))


def data(settings: Config, rows: int = 400) -> TrainingData:
    return split(Sample(clustered(rows), "abc"), settings)


@pytest.mark.parametrize("balance", ["0", "0.35"])
def test_levels_of_one_fit_are_those_of_separate_fits(balance: str) -> None:
    """Against the trainer of rq_kmeans itself, one fit for each number of levels, counted item by item."""
    settings = config(f"tokenizer.balance={balance}")
    sample = data(settings)
    for fitted in fit_shapes(sample, settings, 8, [1, 2, 4], 10_000, SILENT.progress):
        alone = fit_tokenizer(sample, quick(settings, 8, fitted.shape.levels))
        encoding = alone.encode_latent(sample.prepared)
        members: dict[tuple[int, ...], int] = {}
        for codes in encoding.codes.tolist():
            members[tuple(codes)] = members.get(tuple(codes), 0) + 1
        assert fitted.seen.items == len(sample.prepared) == 400
        assert fitted.seen.unique == len(members)
        assert fitted.seen.alone == sum(count == 1 for count in members.values())
        told = alone.training["levels"]["held_out"][-1]["relative_mse"]
        assert fitted.relative_mse == pytest.approx(told, rel=1e-12)
        for level, share in enumerate(fitted.capacity):
            counts = np.bincount(encoding.codes[:, level], minlength=8)
            overlap = expected_overlap(counts, alone.codebooks[level], 0.5 * alone.latent_rms[level])
            between = (400 * overlap - 1) / 399
            assert share == pytest.approx(1 / (8 * (between + (1 - between) / 10_000)), rel=1e-12)


def test_the_balance_is_the_runs_and_the_rest_is_cheap() -> None:
    default = quick(load_config(), 64, 3)
    assert (default.tokenizer.name, default.tokenizer.beam_width) == ("rq_kmeans", 1)
    assert default.tokenizer.kept_balance == load_config().tokenizer.kept_balance > 0
    assert default.tokenizer.codebook_sizes == (64, 64, 64)
    assert quick(load_config(options={"tokenizer.name": "rq_vae"}), 64, 3).tokenizer.kept_balance == 0
    assert quick(load_config(settings=["tokenizer.balance=0.6"]), 64, 3).tokenizer.kept_balance == 0.6
    few = quick(load_config(settings=["train.kmeans.balance_iterations=1"]), 64, 3).train.kmeans
    assert (few.start_iterations, few.balance_iterations, few.final_iterations) == (2, 1, 2)
    weighted = load_config(settings=["sample.exposure_power=1", "items.exposure=views"])
    assert quick(weighted, 64, 3).sample.exposure_power == 0


def test_the_grid_is_what_the_sample_and_the_key_allow() -> None:
    full = usable(None, LEVELS, 4096 * 8)
    assert list(full) == list(CODES)
    assert full[1024] == [2, 3, 4, 5, 6]
    assert full[2048] == full[4096] == [2, 3, 4, 5]  # 2048^6 = 2^66
    assert list(usable(None, LEVELS, 4096 * 8 - 1)) == list(CODES[:-1])
    assert usable([16, 4], [3, 1, 3], 128) == {4: [1, 3], 16: [1, 3]}


@pytest.mark.parametrize(("codes", "rows", "most"), [(None, 511, 63), ([16, 64], 511, 63), ([4], 31, 3)])
def test_a_sample_that_is_too_small_is_refused(codes: list[int] | None, rows: int, most: int) -> None:
    with pytest.raises(InputRefused, match=f"{rows} items to fit on can plan up to {most} codes"):
        usable(codes, LEVELS, rows)


@pytest.mark.parametrize(("codes", "levels"), [([1], [2]), ([4], [0]), ([4], [40]), ([4096], [6, 7])])
def test_impossible_shapes_are_refused(codes: list[int], levels: list[int]) -> None:
    with pytest.raises(ConfigError):
        usable(codes, levels, 10**6)
