"""What happens to items that share a SID."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from drq_spark.config.section import LATER, Positive, Section


class Collisions(Section):
    """What happens to items that share a SID."""

    policy: Annotated[Literal["suffix", "spread", "none"], LATER] = Field(
        "suffix",
        description="suffix: they keep it and are told apart by the suffix; spread: as many as it has no room for move to their cheapest SID that has, and a suffix tells apart what finds none; none: they keep it, and every suffix is 0",
    )
    capacity: Annotated[Positive, LATER] = Field(
        1, description="spread: items that a SID has room for; items with the same embedding may count as one"
    )
    candidates: Annotated[Annotated[int, Field(ge=2, le=64)], LATER] = Field(
        16, description="spread: the cheapest SIDs of an item that are looked at, its own among them"
    )
    stays: Annotated[Literal["cost", "exposure"], LATER] = Field(
        "cost",
        description="spread: who keeps a SID that several want, after those that have had it. cost: who would lose most by moving; exposure: who is shown most, then the lowest id",
    )
    duplicates: Annotated[Literal["together", "apart"], LATER] = Field(
        "together",
        description="spread: items with exactly the same embedding. together: they count as one and share a SID; apart: each counts",
    )
    numbering: Annotated[Literal["rank0", "unique0"], LATER] = Field(
        "rank0",
        description="Suffixes of the items of a SID. rank0: 0, 1, 2, ..; unique0: 0 where there is one, else 1, 2, ... Items that have a suffix keep it",
    )
