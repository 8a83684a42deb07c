"""Which figures, and the bounds that they must keep."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from drq_spark.config.section import LATER, Place, Positive, Section
from drq_spark.metrics import Metric


class Measure(Section):
    """Which figures."""

    etas: tuple[Annotated[float, Field(gt=0.0)], ...] = Field(
        (0.1, 0.2, 0.5, 1.0), description="Perturbation scales of the capacity curve, in RMS per effective coordinate"
    )
    headline_eta: Annotated[float, Field(gt=0.0)] = Field(
        0.5, description="The scale of the headline capacity; one of etas"
    )
    rhos: tuple[Annotated[float, Field(gt=0.0)], ...] = Field(
        (0.1, 0.2, 0.3), description="Noise on the embeddings, in their norm: the same for every tokenizer"
    )
    embeddings_after: Place = Field(
        None,
        description="A second version of the items table: how far embeddings really move; --embeddings-after on the command line",
    )
    top_buckets: Positive = Field(50, description="Largest buckets kept by name")
    overlap_items: Annotated[int, Field(ge=100)] = Field(
        10_000, description="Items drawn for the overlap of whole SIDs; all SIDs where there are not more"
    )
    perturbed_items: Annotated[int, Field(ge=100)] = Field(
        100_000, description="Items, by hash, that are encoded again with noise"
    )
    neighbour_queries: Positive = Field(
        500, description="Items, by hash, whose nearest neighbours are looked for in the whole catalogue"
    )
    ranked_pairs: Positive = Field(
        2_000, description="Pairs of consecutive items, by hash, whose rank in the whole catalogue is counted"
    )
    scored_pairs: Positive = Field(20_000, description="Pairs, by hash, that the AUC is computed of")

    @model_validator(mode="after")
    def _headline(self) -> Measure:
        if self.headline_eta not in self.etas:
            raise ValueError(f"measure.headline_eta {self.headline_eta} is not one of measure.etas {list(self.etas)}")
        return self


class GateRule(Section):
    """A bound on one figure; without a level it must hold for every row of the metric."""

    metric: Metric = Field(description="Name in the metrics table")
    level: int | None = Field(None, description="Level from 1; 0 for whole SIDs; every level without it")
    weighting: Literal["items", "exposure"] = Field("items", description="Figures by items or by exposure")
    eta: float | None = Field(
        None, description="Perturbation scale, for capacity figures; the headline scale without it"
    )
    of_last: Annotated[Positive | None, LATER] = Field(
        None,
        description="Bounds are times the median of the figure over so many of the latest runs that readers followed; absolute without it",
    )
    minimum: float | None = Field(None, description="Lowest value that passes")
    maximum: float | None = Field(None, description="Highest value that passes")

    @model_validator(mode="after")
    def _bounded(self) -> GateRule:
        if self.minimum is None and self.maximum is None:
            raise ValueError(f"gate rule on {self.metric.value!r} needs a minimum or a maximum")
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(
                f"gate rule on {self.metric.value!r}: minimum {self.minimum} is above maximum {self.maximum}"
            )
        return self


class Gate(Section):
    """What a run must reach before readers follow it."""

    rules: tuple[GateRule, ...] = Field(
        (
            GateRule(metric=Metric.QUARANTINE_RATE, maximum=0.1),
            GateRule(metric=Metric.UTILIZATION, minimum=0.5),
            GateRule(metric=Metric.RELATIVE_MSE, maximum=0.95),
            GateRule(metric=Metric.EXCESS_DUPLICATE_RATE, maximum=0.9),
        ),
        description="All must hold",
    )
