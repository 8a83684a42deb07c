"""A handful of items with SIDs that were put down by hand: shared ones, a moved one, and ids of every kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import SparkSession
from runs_in_hand import state_of

from drq_spark.config import load_config
from drq_spark.export.export_source import Choices, ExportSource
from drq_spark.export.whole_output import Output
from drq_spark.tokenizer.keys import codes_to_keys
from drq_spark.tokenizer.model import Tokenizer
from drq_spark.tokenizer.network import BehaviourEncoder, ContentDecoder, ResidualMLP

SIZES = (5, 2, 300)
LONG = "sku/" + "x" * 300
ODD = 'a "quoted", long\nid, ü'
CODES: dict[Any, tuple[int, ...]] = {
    "b": (4, 1, 299),
    ODD: (0, 0, 0),
    LONG: (0, 0, 0),
    "10": (0, 1, 17),
    "9": (4, 1, 299),
    "7": (0, 0, 0),
    "": (3, 0, 128),
}
SUFFIX: dict[Any, int] = {"b": 0, "9": 3, ODD: 2, LONG: 0, "7": 1, "10": 0, "": 0}
"""Unique among the items of a SID, and with a gap, as nights leave them."""
MOVED = {"10": (0, 0, 0)}
ORDER = sorted(CODES, key=lambda item: item.encode())
NUMBERED_IDS = {item: 2**62 - 3 * number for number, item in enumerate(CODES)}
"""The same items with ids that are integers."""


def tokenizer_of(sizes: tuple[int, ...] = SIZES, dim: int = 6, **more: Any) -> Tokenizer:
    """Codebooks that are numbers of a normal distribution."""
    random = np.random.default_rng(0)
    books = tuple(random.normal(size=(size, dim)).astype(np.float32) for size in sizes)
    return Tokenizer("rq_kmeans", dim, "none", books, latent_rms=(1.0,) * len(sizes), **more)


def zeros(*shape: int) -> NDArray[np.float32]:
    """float32 zeros."""
    return np.zeros(shape, np.float32)


def content_tokenizer() -> Tokenizer:
    """Latents of 6 numbers, of which the first 4, moved by a constant, are the embedding."""
    network = ResidualMLP(zeros(4), zeros(2, 4), zeros(2), zeros(1), zeros(3, 4), zeros(3), zeros(2, 3))
    encoder = BehaviourEncoder(network, zeros(4), zeros(2), zeros(1))
    decoder = ContentDecoder(np.arange(4, dtype=np.float32), 6)
    return replace(tokenizer_of((5, 3)), dim=4, encoder=encoder, decoder=decoder)


def source_of(
    spark: SparkSession,
    choices: Choices | None = None,
    ids: Mapping[str, Any] | None = None,
    tokenizer: Tokenizer | None = None,
    **options: Any,
) -> ExportSource:
    """The items as a run has them, under other ids where they are given."""
    named = ids or {item: item for item in CODES}
    key = dict(zip(CODES, codes_to_keys(np.array(list(CODES.values())), SIZES).tolist(), strict=True))
    moved = {item: codes_to_keys(np.array([codes]), SIZES).item() for item, codes in MOVED.items()}
    rows = [(named[item], list(codes), key[item], SUFFIX[item], moved.get(item)) for item, codes in CODES.items()]
    kind = "bigint" if ids else "string"
    df = spark.createDataFrame(rows, f"item_id {kind}, codes array<int>, sid bigint, suffix int, moved_from bigint")
    config = load_config(options=options)
    return ExportSource(df.repartition(3), SIZES, state_of("night-1"), config, tokenizer, choices or Choices())


def output_in(folder: Path, name: str = "whole") -> Output:
    """A place to write to."""
    return Output(str(folder / name), str(folder / name), str(folder / "scratch"))
