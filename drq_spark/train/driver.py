"""Makes a frozen tokenizer of the sample matrix; torch is loaded only inside the call."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drq_spark.arrays import F32
from drq_spark.blocks import row_blocks
from drq_spark.config import Config
from drq_spark.errors import ConfigError, InputRefused
from drq_spark.machine_memory import memory_limit
from drq_spark.progress import SILENT, Progress
from drq_spark.sample.values import Sample
from drq_spark.tokenizer import Tokenizer
from drq_spark.tokenizer.model import MAX_NUMBER, normalized
from drq_spark.train.contract import Before, Trainer, TrainingData, TrainingPairs
from drq_spark.train.evaluation import reconstruction_error
from drq_spark.train.memory import behaviour_bytes
from drq_spark.train.registry import trainer

_FOR_TRAINING = 0.75  # of the memory there is; the rest is for Java and Python themselves
_SPLIT_STREAM = 0  # purpose of the permutation that splits the sample


def train_tokenizer(sample: Sample, config: Config, progress: Progress = SILENT.progress) -> Tokenizer:
    """Train the tokenizer that `config.tokenizer` describes.

    The same sample, config, device, threads and library versions give the same tokenizer, bit for bit: nothing in it
    tells when or where it was trained.

    Args:
        sample: The items, and the behaviour where there is some.
        config: All settings.
        progress: Is told what happens.

    Raises:
        ConfigError: the name is unknown, or training needs more memory than `memory_allowed`.
        SetupError: torch is missing, or `train.device` asks for a GPU that is not there.
        InputRefused: fewer items than codes, or embeddings that are not finite or whose squares are no float32 numbers.
        TrainingFailed: the fit diverged, or its decoder memorises.
    """
    rows, dim = sample.x.shape
    check_memory(trainer(config.tokenizer.name), rows, dim, config)
    return fit_tokenizer(split(sample, config), config, progress)


def fit_tokenizer(data: TrainingData, config: Config, progress: Progress = SILENT.progress) -> Tokenizer:
    """Train as `train_tokenizer` does, on a sample that is split already: its raw rows need not stay in memory.

    Raises:
        ConfigError, SetupError, InputRefused, TrainingFailed: as `train_tokenizer`.
    """
    chosen = trainer(config.tokenizer.name)
    rows, dim = data.prepared.shape
    check_memory(chosen, rows, dim, config)
    from drq_spark.train import runtime
    from drq_spark.train.memorising import refuse_memorising_decoder

    device = runtime.choose_device(config)
    with runtime.training_threads(config.train.threads):
        fit = chosen.fit if data.before is None else partial(_retrained, chosen)
        tokenizer = fit(data, config, progress)
    refuse_memorising_decoder(tokenizer, data)
    described: dict[str, Any] = {
        "settings": _settings(config),
        "sample": {"fingerprint": data.fingerprint, "fit": len(data.fit), "held_out": len(data.held_out)},
        "device": device.type,
        "versions": runtime.library_versions(),
    }
    if len(data.held_out):
        mean = data.fit.mean(axis=0, dtype=np.float64)
        described["held_out_relative_mse"] = reconstruction_error(tokenizer, data.held_out, mean)
    return replace(tokenizer, training={**tokenizer.training, **described})


def _retrained(chosen: Trainer, data: TrainingData, config: Config, progress: Progress) -> Tokenizer:
    from drq_spark.train.retraining import retrained

    return retrained(chosen, data, config, progress)


def check_memory(chosen: Trainer, rows: int, dim: int, config: Config) -> None:
    """Refuse a sample that would not fit, before anything is done.

    Raises:
        ConfigError: the estimate is above `memory_allowed`.
    """
    needed, allowed = memory_needed(chosen, rows, dim, config) / 1e9, memory_allowed(config)
    if needed <= allowed:
        return
    task = f"training {config.tokenizer.name} on {rows} x {dim} needs {needed:.2f} GB on the driver"
    if allowed == config.train.max_memory_gb:
        raise ConfigError(f"{task}, train.max_memory_gb is {allowed:g}: lower sample.size or raise the limit")
    raise ConfigError(
        f"{task}, and {allowed:.2f} GB is three quarters of what this machine or container has: lower sample.size or "
        "give it more memory"
    )


def memory_allowed(config: Config) -> float:
    """GB that training may take: `train.max_memory_gb`, and never more than the machine or container has to give."""
    return min(config.train.max_memory_gb, _FOR_TRAINING * memory_limit() / 1e9)


def memory_needed(chosen: Trainer, rows: int, dim: int, config: Config) -> int:
    """Bytes of driver memory for a sample of rows x dim, on top of it; as many items may be in pairs again."""
    return chosen.memory_bytes(rows, dim, config) + behaviour_bytes(rows, dim, config)


def split(sample: Sample, config: Config, old: Tokenizer | None = None) -> TrainingData:
    """Prepare the rows and part them, by id where the sample has split keys; new arrays, `sample` stays as it is.

    With an old tokenizer and the SIDs of the sample the training is a retraining.

    The held-out items are those with the lowest keys, so an item is on the same side among the items and in the pairs.

    Raises:
        InputRefused: embeddings that are not finite, whose squares are no float32 numbers, or that are all equal.
        ValueError: behaviour without split keys.
    """
    order = _split_order(sample, config.seed)
    held_out = int(config.sample.holdout * len(order))
    prepared = _prepared(sample.x, order, config)
    if len(prepared) > 1 and (prepared == prepared[0]).all():
        raise InputRefused(
            f"all {len(prepared):,} embeddings of the sample are equal, and codes could tell no item from another: is "
            f"{config.items.embedding!r} the right column (items.embedding)?"
        )
    return TrainingData(
        prepared=prepared,
        held_out_rows=held_out,
        fingerprint=sample.fingerprint,
        exposure=None if sample.exposure is None else sample.exposure[order],
        behaviour=None if sample.behaviour is None else _split_pairs(sample, order[:held_out], config),
        before=None if old is None or sample.codes is None else Before(old, sample.codes[order]),
    )


def _split_order(sample: Sample, seed: int) -> NDArray[np.int64]:
    """Rows of the sample, the held-out ones first, in random order."""
    if sample.split_key is not None:
        return np.argsort(sample.split_key, kind="stable")
    return np.random.default_rng((seed, _SPLIT_STREAM)).permutation(len(sample.x))


def _split_pairs(sample: Sample, held_out: NDArray[np.int64], config: Config) -> TrainingPairs:
    behaviour, keys = sample.behaviour, sample.split_key
    if behaviour is None or keys is None:
        raise ValueError("pairs can only be split where the items have split keys")
    held = behaviour.split_key <= keys[held_out[-1]] if len(held_out) else np.zeros(len(behaviour.x), bool)
    return TrainingPairs(
        prepared=_prepared(behaviour.x, np.arange(len(behaviour.x)), config),
        held_out_items=held,
        pairs=behaviour.pairs[~held[behaviour.pairs].any(axis=1)],
        held_out_pairs=behaviour.held_out_pairs,
    )


def _prepared(x: F32, order: NDArray[np.int64], config: Config) -> F32:
    prepared, largest = np.empty(x.shape, np.float32), 0.0
    for block in row_blocks(*x.shape):
        rows = x[order[block]]
        if not np.isfinite(rows).all():
            raise InputRefused("training takes finite embeddings, and some hold NaN or infinity: leave them out")
        prepared[block] = normalized(rows, config.items.normalize)
        largest = max(largest, float(np.abs(prepared[block]).max()))
    if largest > 0 and not 1 / MAX_NUMBER <= largest <= MAX_NUMBER:
        raise InputRefused(
            f"the largest number of all embeddings is {largest:.3g}, and training squares them in float32: scale them "
            f"to between {1 / MAX_NUMBER:g} and {MAX_NUMBER:g}, or set items.normalize to l2"
        )
    return prepared


def _settings(config: Config) -> dict[str, Any]:
    """What training read of the settings."""
    sections = {"device", "threads", *config.tokenizer.kind.sections}
    return {
        "tokenizer": config.tokenizer.model_dump(mode="json"),
        "normalize": config.items.normalize,
        "holdout": config.sample.holdout,
        "train": config.train.model_dump(mode="json", include=sections),
        "seed": config.seed,
    }
