"""Device, threads, random streams and versions: what decides the bits of a training run besides data and settings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

import drq_spark
from drq_spark.config import Config
from drq_spark.errors import SetupError
from drq_spark.train.tile_threads import tile_threads


def choose_device(config: Config) -> torch.device:
    """The device that `train.device` asks for; "auto" is the GPU where there is one.

    Raises:
        SetupError: "cuda" where torch sees no GPU.
    """
    available = torch.cuda.is_available()
    if config.train.device == "cuda" and not available:
        raise SetupError(
            "train.device is cuda but torch sees no GPU: install a CUDA build of torch and its driver, or use auto"
        )
    return torch.device("cuda" if available and config.train.device != "cpu" else "cpu")


@contextmanager
def torch_threads(count: int | None) -> Iterator[None]:
    """Run with this many torch threads (None: as many as torch has), then go back to the number before."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def training_threads(count: int | None) -> Iterator[None]:
    """`torch_threads`, and as many for tiles of rows (`drq_spark.train.tile_threads`)."""
    with torch_threads(count), tile_threads(torch.get_num_threads()):
        yield


def random_stream(seed: int, *purpose: int) -> torch.Generator:
    """A CPU generator for one purpose: streams of different purposes or seeds are independent.

    Random numbers are always drawn on the CPU, so a GPU sees the same ones.
    """
    state = int(np.random.SeedSequence((seed, len(purpose), *purpose)).generate_state(1, np.uint64)[0])
    return torch.Generator().manual_seed(state >> 1)


@contextmanager
def seeded(seed: int, *purpose: int) -> Iterator[None]:
    """Weights and dropout of what is made inside come from `random_stream`; random numbers outside are as before."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(random_stream(seed, *purpose).initial_seed())
        yield


def library_versions() -> dict[str, str]:
    """Versions of what computed the numbers."""
    return {"drq_spark": drq_spark.__version__, "numpy": np.__version__, "torch": str(torch.__version__)}
