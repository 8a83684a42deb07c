"""All that the report shows: small values only, already gathered from the tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drq_spark.arrays import F64, I32
from drq_spark.formulas.usage import LevelUsage
from drq_spark.gate import GateResult
from drq_spark.metrics import ITEMS, Metric, MetricRow, Metrics
from drq_spark.schemas import EXTERNAL

__all__ = [
    "AtRisk", "Branch", "Bucket", "Confusion", "Example", "Explored", "Gain", "GateResult", "LevelUsage", "MetricRow",
    "Neighbour", "ReportData",
]  # fmt: skip


@dataclass(frozen=True)
class Bucket:
    """One of the SIDs with the most items; `names` are up to 5 items, most exposed first.

    `distinct_embeddings` is None where embeddings are not known.
    """

    rank: int
    codes: tuple[int, ...]
    items: int
    exposure: float | None
    distinct_embeddings: int | None
    names: tuple[str, ...]


@dataclass(frozen=True)
class Neighbour:
    """An item near another in SID space: `shared` is the number of leading levels on which the codes agree."""

    name: str
    codes: tuple[int, ...]
    shared: int


@dataclass(frozen=True)
class Example:
    """An item, its SID, and the items that share the longest prefix with it."""

    name: str
    codes: tuple[int, ...]
    exposure: float | None
    neighbours: tuple[Neighbour, ...]


@dataclass(frozen=True)
class Branch:
    """A prefix and its items; `code` is its last code, None for all the smaller prefixes together."""

    code: int | None
    items: int
    children: tuple[Branch, ...] = ()


@dataclass(frozen=True)
class Confusion:
    """Two codes of a level that items change between under perturbation, with some items of each."""

    level: int
    code: int
    other: int
    items: int
    names: tuple[str, ...]
    other_names: tuple[str, ...]


@dataclass(frozen=True)
class AtRisk:
    """An item that the least change flips: its SID, and the level and size of its smallest margin."""

    name: str
    codes: tuple[int, ...]
    level: int
    margin: float
    exposure: float | None


@dataclass(frozen=True)
class Gain:
    """A row of attribute_gains, see `schemas.ATTRIBUTE_GAINS`."""

    step: int
    attribute: str
    level: int
    estimator: str
    conditional_entropy: float
    gain: float
    permuted_gain: float


@dataclass(frozen=True, eq=False)
class Explored:
    """The items that can be searched on the page, n of them, by SID.

    Attributes:
        ids, names: Text, [n]; the name of an item without one is its id.
        codes: int32 [n, L].
        margin: float64 [n], the smallest of each; None where margins are not known.
        exposure: float64 [n]; None where exposures are not known.
        items: All that have a SID, these among them.
    """

    ids: tuple[str, ...]
    names: tuple[str, ...]
    codes: I32
    margin: F64 | None
    exposure: F64 | None
    items: int


@dataclass(frozen=True)
class ReportData:
    """Everything on the page.

    Attributes:
        run: run_id, run_date, status, package_version, input_fingerprint, config_fingerprint, source (end of the
            path, or table, of the items, or of the external SIDs).
        seconds: Wall-clock seconds by step, in the order of the pipeline.
        rows_in: Rows of the items table, or of the external SIDs.
        rows_out: Items with a SID.
        quarantine: Rows without a SID by reason.
        tokenizer_id: Content hash of the tokenizer, or of the external SIDs.
        kind: Kind of the tokenizer; `schemas.EXTERNAL` for external SIDs.
        dim: D, 0 where nothing is known of embeddings.
        latent_dim: d, 0 where nothing is known of latents.
        codebook_sizes: K per level.
        normalize: What is done to embeddings first.
        training: The tokenizer's own account.
        sigma_units: RMS of the latents per effective coordinate, one a level; sigma = eta * that.
        headline_eta: The eta of headline figures.
        metrics: All rows of the metrics table.
        gate: What became of every rule.
        usage: Use of the codes, one a level.
        buckets: The SIDs with the most items.
        examples: Some items with their neighbours in SID space.
        config: The settings, by section.
        previous_run_id: The run that churn compares with, None at the first.
        notes: What to know before the figures are read.
        overlap: Per level, overlaps [m, m] of the most used codes at the headline eta, similar codes side by side.
        tree: The largest prefixes of one code and their children.
        confusions: The first rows of code_confusion.
        at_risk: The first rows of items_at_risk.
        gains: The rows of attribute_gains.
        explored: Items to search; None where there are none.
    """

    run: Mapping[str, str]
    seconds: Mapping[str, float]
    rows_in: int
    rows_out: int
    quarantine: Mapping[str, int]
    tokenizer_id: str
    kind: str
    dim: int | None
    latent_dim: int | None
    codebook_sizes: tuple[int, ...]
    normalize: str
    training: Mapping[str, Any]
    sigma_units: tuple[float, ...]
    headline_eta: float
    metrics: tuple[MetricRow, ...]
    gate: tuple[GateResult, ...]
    usage: tuple[LevelUsage, ...]
    buckets: tuple[Bucket, ...]
    examples: tuple[Example, ...]
    config: Mapping[str, Any]
    previous_run_id: str | None
    notes: tuple[str, ...] = ()
    overlap: tuple[NDArray[np.float32], ...] = ()
    tree: tuple[Branch, ...] = ()
    confusions: tuple[Confusion, ...] = ()
    at_risk: tuple[AtRisk, ...] = ()
    gains: tuple[Gain, ...] = ()
    explored: Explored | None = None

    @cached_property
    def figures(self) -> Metrics:
        """The metrics by name."""
        return Metrics(self.metrics)

    @property
    def external(self) -> bool:
        """Whether another system made the SIDs."""
        return self.kind == EXTERNAL

    def capacity_parts(self, level: int, weighting: str = ITEMS) -> tuple[float, float] | None:
        """(D, G) of a level at the headline eta, None where the run has none."""
        uneven = self.figures.value(Metric.DISTRIBUTION, level, weighting)
        close = self.figures.value(Metric.GEOMETRY, level, weighting, self.headline_eta)
        return (uneven, close) if uneven and close else None

    @property
    def levels(self) -> range:
        """1 .. L."""
        return range(1, len(self.codebook_sizes) + 1)
