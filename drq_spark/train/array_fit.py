"""A tokenizer of an array: training without Spark, without tables and without files."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from drq_spark.arrays import F32, F64, I64, exposure_of_rows
from drq_spark.config import Config, load_config
from drq_spark.errors import InputRefused
from drq_spark.progress import SILENT, Progress
from drq_spark.sample.values import Sample, short_digest, with_behaviour
from drq_spark.tokenizer import Tokenizer
from drq_spark.tokenizer.one_or_many import one_or_many
from drq_spark.train.array_events import behaviour_of, read_events
from drq_spark.train.driver import train_tokenizer

_DRAW_STREAM = 1_000  # purpose of the permutation that draws the sample and its held-out part
_GIVEN = "given as arrays"  # stands where settings name a table or a column


def fit(
    x: ArrayLike,
    levels: int = 3,
    codes: int | Sequence[int] = 256,
    events: Any = None,
    *,
    ids: Sequence[Hashable] | NDArray[Any] | None = None,
    exposure: ArrayLike | None = None,
    tokenizer: str = "drq",
    normalize: Literal["none", "l2"] = "none",
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
    progress: Progress = SILENT.progress,
) -> Tokenizer:
    """Train a tokenizer on the rows of an array; the driver needs torch, and nothing needs Spark.

    >>> tokenizer = drq_spark.fit(x, levels=3, codes=256)  # doctest: +SKIP
    >>> tokenizer.tokens(tokenizer.codes(x[0]))  # doctest: +SKIP
    '<a_12><b_3><c_7>'

    The same arguments give the same tokenizer, bit for bit, on the same machine.

    Args:
        x: Embeddings [n, D]: an array, lists, a data frame of numbers.
        levels: L, codes in a SID.
        codes: K, codes a level; a list for different sizes.
        events: What users did, which the default tokenizer learns from; in one of three forms:
            (user, item, order), three columns of equal length, in this order, as a tuple, a mapping or a data frame: an
            item goes with the next one of its user;
            pairs, an integer array [p, 2] of items that went together;
            sequences, a list of lists of items, a session each.
        ids: [n], what the items are called in `events`; without it they are rows of x, from 0.
        exposure: [n], how often each item is shown; without it the count of its events.
        tokenizer: Its kind, see `tokenizer.name`.
        normalize: "l2" divides every embedding by its norm.
        seed: Of everything random.
        settings: Any other settings of `conf/base.yaml`, such as {"train.drq.fidelity_slack": 0.05}. Of more rows than
            `sample.size` as many train.
        progress: Is told how far the training is.

    Raises:
        InputRefused: embeddings or events that cannot be trained on, or fewer rows than codes.
        ConfigError: a setting that is none, or more memory than allowed.
        SetupError: torch is not installed.
        TrainingFailed: the fit diverged, or its decoder memorises.
    """
    named = {"tokenizer.name": tokenizer, "tokenizer.levels": levels, "items.normalize": normalize, "seed": seed,
             "tokenizer.codes": np.asarray(codes).tolist(),
             "events.path": None if events is None else _GIVEN,
             "items.exposure": None if exposure is None else _GIVEN}  # fmt: skip
    config = load_config(options={**named, **(settings or {})})
    config.require_sources()
    rows = _embeddings(x, config)
    log = None if events is None else read_events(events, len(rows), ids, config)
    shown = exposure_of_rows(exposure, len(rows)) if log is None or exposure is not None else log.counts(len(rows))
    key = np.random.default_rng((seed, _DRAW_STREAM)).permutation(len(rows))
    sample = _sample(rows, shown, key, config.sample.size)
    if log is not None and config.trains_on_events:
        sample = with_behaviour(sample, behaviour_of(log, rows, key, config))
    return train_tokenizer(sample, config, progress)


def _embeddings(x: ArrayLike, config: Config) -> F32:
    """float32 [n, D], all usable.

    Raises:
        InputRefused: they are not.
    """
    try:
        array, one = one_or_many(x, "embeddings")
    except ValueError as error:
        raise InputRefused(f"x: {error}") from None
    if one or array.ndim != 2 or not array.size:
        shape = array.shape[1:] if one else array.shape
        raise InputRefused(f"x must be a matrix with a row for each item, not an array of shape {shape}")
    with np.errstate(over="ignore"):
        rows: F32 = np.ascontiguousarray(array, np.float32)
    _refuse_rows(~np.isfinite(rows).all(axis=1), "NaN or infinity")
    if config.items.normalize == "l2":
        _refuse_rows(~rows.any(axis=1), 'zeros alone, which have no direction (normalize is "l2")')
    return rows


def _refuse_rows(bad: Any, what: str) -> None:
    """Refuse rows of which there are any; bad: bool [n]."""
    if bad.any():
        raise InputRefused(
            f"x: {bad.sum():,} of {len(bad):,} rows hold {what}, the first is row {int(bad.argmax())}: leave them out"
        )


def _sample(rows: F32, shown: F64 | None, key: I64, size: int) -> Sample:
    """The rows with the lowest keys, at most so many, in the order of x."""
    drawn = slice(None) if len(rows) <= size else np.flatnonzero(key < size)
    x, exposure, split_key = rows[drawn], None if shown is None else shown[drawn], key[drawn]
    parts = (x, split_key) if exposure is None else (x, split_key, exposure)
    fingerprint = short_digest(*(hashlib.sha256(np.ascontiguousarray(part).data).digest() for part in parts))
    return Sample(x, fingerprint, split_key, exposure)
