"""What the cluster hands to training: plain numpy, no Spark."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from drq_spark.arrays import F32, I32, I64


@dataclass(frozen=True)
class Behaviour:
    """What users did, as pairs of items that followed one another, with the items' embeddings.

    Attributes:
        x: float32 [m, D], raw embeddings of every item in a pair.
        split_key: int64 [m], as in `Sample`.
        pairs: int64 [p, 2], rows of `x`: item and next item, of the users that training may see.
        held_out_pairs: int64 [q, 2], the same of the users that only judge.
    """

    x: F32
    split_key: I64
    pairs: I64
    held_out_pairs: I64


@dataclass(frozen=True)
class Sample:
    """The items that train a tokenizer.

    Attributes:
        x: float32 [n, D], raw embeddings, all finite (and none zero where `items.normalize` is "l2").
        fingerprint: Hash of ids, embeddings and pairs, 16 hex digits.
        split_key: int64 [n], a hash of the id and the seed: the items with the lowest keys only judge the fit. Without
        it the split is a seeded permutation of the rows.
        exposure: float64 [n], how often each item is shown; None where nothing is known.
        behaviour: None without events.
        codes: int32 [n, L], the SIDs that the items have; -1 for those without. None where nothing is to be kept.
    """

    x: F32
    fingerprint: str
    split_key: I64 | None = None
    exposure: NDArray[np.float64] | None = None
    behaviour: Behaviour | None = None
    codes: I32 | None = None


def with_behaviour(sample: Sample, behaviour: Behaviour) -> Sample:
    """The sample with what users did; its fingerprint covers both."""
    parts = (behaviour.x, behaviour.split_key, behaviour.pairs, behaviour.held_out_pairs)
    digests = (hashlib.sha256(np.ascontiguousarray(part).data).digest() for part in parts)
    return replace(sample, behaviour=behaviour, fingerprint=short_digest(sample.fingerprint.encode(), *digests))


def short_digest(*digests: bytes) -> str:
    """16 hex digits of several digests."""
    return hashlib.sha256(b"".join(digests)).hexdigest()[:16]
