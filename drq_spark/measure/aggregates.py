"""The small values between aggregation and presentation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from drq_spark.config import Measure
from drq_spark.formulas.usage import LevelUsage
from drq_spark.metrics import Ruler
from drq_spark.tokenizer import Tokenizer


@dataclass(frozen=True)
class Scale:
    """How far a perturbation moves the latents.

    Attributes:
        ruler: What is perturbed.
        eta: Its scale, see `schemas.METRICS`; None for a second version of the embeddings.
        sigma: RMS displacement per effective coordinate of W^l z, one number a level.
        standard_error: Standard error of sigma, one number a level; None where sigma is no estimate.
    """

    ruler: Ruler
    eta: float | None
    sigma: tuple[float, ...]
    standard_error: tuple[float, ...] | None = None


def latent_scales(tokenizer: Tokenizer, settings: Measure) -> list[Scale]:
    """sigma = eta * latent_rms for each eta: noise on the latents, in their RMS per effective coordinate."""
    return [Scale(Ruler.LATENT, eta, tuple(eta * rms for rms in tokenizer.latent_rms)) for eta in settings.etas]


@dataclass(frozen=True)
class PrefixSums:
    """Sums over the occupied prefixes of one length: how many there are, their items, and sums over their counts n.

    The exposure sums are None without exposure.
    """

    occupied: int
    items: int
    sum_n_log_n: float
    exposure: float | None
    exposure_log: float | None


@dataclass(frozen=True)
class Thresholds:
    """Lowest exposure of an item of the head and of the torso.

    `torso` is None where the head alone carries two thirds of all exposure: then no item is of the torso.
    """

    head: float
    torso: float | None


@dataclass(frozen=True)
class Mass:
    """Some items and their exposure, None without exposure."""

    items: int
    exposure: float | None


@dataclass(frozen=True)
class SegmentSums:
    """A segment of the items.

    Attributes:
        items: How many there are.
        shared: How many of them have a SID that another item has, too.
        harmful: How many of those share it with an item of another embedding; None where embeddings are not known.
    """

    items: int
    shared: int
    harmful: int | None


@dataclass(frozen=True)
class BucketSums:
    """Sums over the different SIDs; a bucket is the n items with one SID.

    Attributes:
        sids: Number of different SIDs.
        all: All items.
        largest: The largest n.
        sum_squares: sum n^2.
        exposure_squares: sum e^2, e the exposure of a bucket.
        shared: Items in buckets with n >= 2.
        harmful: Items in those of these buckets that hold different embeddings.
        duplicates: Items in those of these buckets that hold equal embeddings.
        distinct_embeddings: Number of different embeddings among all items.
        segments: Name -> sums over its items.

    What needs embeddings is None where those of some items are not known; exposure sums are None without exposure.
    """

    sids: int
    all: Mass
    largest: int
    sum_squares: int
    exposure_squares: float | None
    shared: Mass
    harmful: Mass | None
    duplicates: Mass | None
    distinct_embeddings: int | None
    segments: Mapping[str, SegmentSums]


@dataclass(frozen=True)
class Segments:
    """Head, torso and tail: their thresholds, and per segment the use of the codes of every level by its items."""

    thresholds: Thresholds
    usage: Mapping[str, Sequence[LevelUsage]]
