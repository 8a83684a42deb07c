"""What a night does: `drq nightly`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from drq_spark.config.section import LATER, Natural, Positive, Section, Share


class Nightly(Section):
    """A night: the published tokenizer stays, and only what is new or has changed gets a SID."""

    keep_gone: Annotated[Natural, LATER] = Field(
        0, description="Nights that an item stays in current_sids after it has left the items table"
    )
    hold_places: Annotated[Natural, LATER] = Field(
        30, description="Nights that the suffix of an item that left, or moved to another SID, is held for its return"
    )
    max_changed: Annotated[Share, LATER] = Field(
        0.5,
        description="More of the known items than this with another embedding: refused, the embedding model has probably changed",
    )
    max_gone: Annotated[Share, LATER] = Field(
        0.5,
        description="More of the known items than this gone at once: refused, the items table is probably not whole",
    )
    retrain: Annotated[Literal["never", "advised"], LATER] = Field(
        "never",
        description="advised: a night after one whose report advised to retrain does so, as --retrain would; never: nights keep the tokenizer",
    )
    figures: Annotated[Literal["quick", "all"], LATER] = Field(
        "quick",
        description="quick: what the SIDs and a sample of the items tell; all: neighbours, perturbation and attributes, too",
    )
    judged_items: Annotated[Positive, LATER] = Field(
        20_000, description="Items, by hash, that reconstruction and margins are measured on where not all are encoded"
    )
