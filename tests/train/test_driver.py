"""The registry and what the machine decides: names, packages, devices, threads."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from drq_spark.config import load_config
from drq_spark.errors import ConfigError, InputRefused, SetupError
from drq_spark.kinds import KINDS
from drq_spark.sample.values import Sample
from drq_spark.train import driver
from drq_spark.train.driver import split, train_tokenizer
from drq_spark.train.registry import trainer
from drq_spark.train.runtime import choose_device, random_stream, torch_threads


def run(code: str) -> str:
    """What a fresh interpreter prints."""
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def test_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"'rq_kmean': did you mean 'rq_kmeans'\? Known: "):
        trainer("rq_kmean")


def test_registry_and_driver_load_no_torch() -> None:
    code = "import sys, drq_spark.train.registry, drq_spark.train.driver; print('torch' in sys.modules)"
    assert run(code) == "False"


@pytest.mark.parametrize("name", KINDS)
def test_missing_torch_names_the_extra(name: str) -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from drq_spark.errors import SetupError\n"
        "from drq_spark.train.registry import trainer\n"
        f"try: trainer({name!r})\n"
        "except SetupError as error: print(error)"
    )
    assert "pip install 'drq-spark[train]'" in run(code)


def test_absent_gpu_is_a_setup_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SetupError, match=r"^train\.device is cuda but torch sees no GPU: .*$"):
        train_tokenizer(Sample(np.eye(300, 4, dtype=np.float32), "abc"), load_config(options={"train.device": "cuda"}))
    assert choose_device(load_config()).type == "cpu"


def test_auto_takes_the_gpu_and_cpu_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device(load_config()).type == "cuda"
    assert choose_device(load_config(options={"train.device": "cpu"})).type == "cpu"


def test_memory_is_bounded_by_the_container_too(monkeypatch: pytest.MonkeyPatch) -> None:
    config = load_config(settings=["train.max_memory_gb=3"])
    for has, allowed in ((16 * 10**9, 3.0), (2 * 10**9, 1.5)):
        monkeypatch.setattr(driver, "memory_limit", lambda has=has: has)
        assert driver.memory_allowed(config) == allowed
    with pytest.raises(ConfigError, match=r"needs 3\.\d+ GB .* 1.50 GB is three quarters of what this machine or"):
        driver.check_memory(trainer("rq_kmeans"), 1_000_000, 256, config)


def test_threads_are_set_for_training_only() -> None:
    before = torch.get_num_threads()
    with torch_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def test_split_is_a_seeded_partition() -> None:
    x = np.arange(400, dtype=np.float32).reshape(100, 4)
    config = load_config(options={"sample.holdout": 0.25})
    data = split(Sample(x, "abc"), config)
    assert (len(data.fit), len(data.held_out)) == (75, 25)
    assert sorted(np.concatenate([data.fit, data.held_out])[:, 0]) == sorted(x[:, 0])
    assert np.array_equal(split(Sample(x, "abc"), config).fit, data.fit)
    assert not np.array_equal(split(Sample(x, "abc"), config.model_copy(update={"seed": 1})).fit, data.fit)


@pytest.mark.parametrize("largest", [1e20, 1e-24])
def test_embeddings_whose_squares_are_no_float32_are_refused(largest: float) -> None:
    x = np.linspace(0, largest, 400, dtype=np.float32).reshape(100, 4)
    with pytest.raises(InputRefused, match=r"largest number of all embeddings is 1e.2., .* set items.normalize to l2"):
        split(Sample(x, "abc"), load_config())
    unit = split(Sample(x[1:], "abc"), load_config(settings=["items.normalize=l2"])).prepared
    assert np.linalg.norm(unit, axis=1) == pytest.approx(1)


@pytest.mark.parametrize("normalize", ["none", "l2"])
def test_embeddings_that_are_all_equal_are_refused(normalize: str) -> None:
    x = np.full((100, 4), 0.5, np.float32)
    config = load_config(options={"items.normalize": normalize, "items.embedding": "vector"})
    with pytest.raises(InputRefused, match=r"all 100 embeddings of the sample are equal.*'vector' the right column"):
        split(Sample(x, "abc"), config)
    x[0, 0] = 0.25
    assert len(split(Sample(x, "abc"), config).prepared) == 100


@pytest.mark.parametrize("scale", [2.0**45, 2.0**-45])
@pytest.mark.parametrize("name", ["rq_kmeans", "drq"])
def test_very_large_and_very_small_embeddings_get_the_same_codes(name: str, scale: float) -> None:
    """Powers of two scale every float32 exactly."""
    x = np.random.default_rng(0).normal(size=(300, 6)).astype(np.float32)
    config = load_config(
        options={"tokenizer.name": name, "tokenizer.codes": 8, "tokenizer.levels": 2, "train.threads": 1}
    )
    codes = [train_tokenizer(Sample(rows, "abc"), config).encode(rows).codes for rows in (x, x * np.float32(scale))]
    assert np.array_equal(*codes)


def test_streams_of_other_purposes_differ() -> None:
    draws = [torch.rand(4, generator=random_stream(*key)).tolist() for key in ((0, 1), (0, 2), (1, 1), (0, 1, 0))]
    assert len({tuple(draw) for draw in draws}) == 4
    assert torch.rand(4, generator=random_stream(0, 1)).tolist() == draws[0]
