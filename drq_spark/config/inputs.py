"""What goes in: items, events, SIDs of other systems, and the sample that is drawn of the items."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from drq_spark.config.section import LATER, AtLeast2, Natural, Place, Positive, Section, Share
from drq_spark.number_types import NumberType


class Items(Section):
    """Where the items are and what their columns are called."""

    path: Place = Field(None, description="Path, glob or table name; --items on the command line")
    id: str = Field(
        "item_id",
        description="Id column: string or any integer type; decimal, unsigned 64-bit and UUID ids become text",
    )
    version: Annotated[str | None, LATER] = Field(
        None,
        description="Number, date or time column: of several rows with one id the highest counts, with all that it holds, an embedding or none",
    )
    embedding: str = Field(
        "embedding", description="Lists of float, double, decimal or half float, ml Vector, or binary: see items.bytes"
    )
    bytes: Annotated[NumberType | None, LATER] = Field(
        None,
        description="Numbers in a binary column: float32, float16, bfloat16, float64, int8, uint8, big-endian >f2, >f4, >f8, "
        "or npy: a .npy file in every row. Without it float32, refused where the bytes show that they are not",
    )
    exposure: str | None = Field(
        None, description="How often an item is shown; without it the count of its events, else none"
    )
    name: str | None = Field(None, description="Text shown for an item in the report; the id without it")
    attributes: tuple[str, ...] = Field(
        (), description="Columns such as category and brand, coarse ones first: what they tell of the codes is measured"
    )
    dim: Positive | None = Field(None, description="Length of an embedding; the most frequent one without it")
    normalize: Literal["none", "l2"] = Field(
        "none", description="l2: every embedding is divided by its norm (cosine geometry)"
    )
    identity: Annotated[Literal["version", "content"], LATER] = Field(
        "version",
        description="What a run knows its items by. version: that of a Delta table, or names, sizes and times of files; "
        "content: a hash of all rows, the same for the same rows written again, for one more pass over the embeddings",
    )
    max_bad_share: Share = Field(
        0.5,
        description="More rows than this without a usable embedding, or of SIDs without usable codes: the input is refused",
    )

    def columns(self) -> tuple[str, ...]:
        """Names of the columns that a run reads."""
        named = (self.id, self.version, self.embedding, self.exposure, self.name, *self.attributes)
        return tuple(name for name in named if name is not None)


class Events(Section):
    """Where the behaviour is and what its columns are called."""

    path: Place = Field(None, description="Path, glob or table name; --events on the command line")
    user: str = Field("user_id", description="User, session or basket column")
    item: str = Field("item_id", description="Item id column, the same ids as in the items table")
    order: str = Field(
        "timestamp", description="Column that orders the events of a user; text that holds numbers counts as numbers"
    )
    unknown: Annotated[Literal["bridge", "part"], LATER] = Field(
        "bridge",
        description="Events of items that are not in the items table. bridge: they are passed over; part: the events beside one are no pair",
    )
    ties: Annotated[Literal["shuffle", "part"], LATER] = Field(
        "shuffle",
        description="Events of a user at one position, such as a basket. shuffle: in an order by hash; part: no pairs among them",
    )
    holdout: Annotated[float, Field(ge=0.0, le=0.5)] = Field(
        0.2,
        description="Share of users, by hash, whose pairs only judge the behaviour training, and whom drq probe asks",
    )
    max_pairs: Positive = Field(
        1_000_000, description="Pairs of consecutive items that train; drawn by hash where there are more"
    )


class Sids(Section):
    """SIDs that another system made: what `drq measure --sids` reads."""

    path: Place = Field(
        None,
        description="index-json, JSON lines, Parquet, Delta, CSV, TSV, .npy or .npz by path or glob, or a table name; --sids on the command line",
    )
    id: str | None = Field(
        None,
        description="Id column, item_id or pid without it; row where an id is the number of a row of the items file, from 0",
    )
    id_shift: Annotated[int, LATER] = Field(
        0,
        description="Added to ids that are integers: -1 where those of the map count from 1 and those of the items from 0",
    )
    column: str | None = Field(
        None,
        description="Column of code lists or token text; codes, codebook, sid or columns sid_level_0, sid_0, level_1 .. without it",
    )
    base: Natural | tuple[Natural, ...] = Field(
        0,
        description="The first code: 1 where codes count from 1; one per level where each begins behind the one before, such as [0,256,512]",
    )
    levels: Positive | None = Field(
        None,
        description="L; without it as many as codebooks, else the most frequent number of codes. One more only tells items apart",
    )
    codes: AtLeast2 | tuple[AtLeast2, ...] | None = Field(
        None,
        description="K, one number or one per level; --codes. Without it the rows of the codebooks, else the largest code + 1",
    )
    codebooks: Place = Field(
        None, description="Codebooks behind the codes, .npz, .npy or .safetensors; --codebooks on the command line"
    )

    @model_validator(mode="after")
    def _shape(self) -> Sids:
        if isinstance(self.base, tuple) and self.levels not in (None, len(self.base)):
            raise ValueError(f"sids.base lists {len(self.base)} levels, sids.levels is {self.levels}")
        if isinstance(self.codes, tuple) and self.levels not in (None, len(self.codes)):
            raise ValueError(f"sids.codes lists {len(self.codes)} levels, sids.levels is {self.levels}")
        return self


class Sample(Section):
    """Which items train the codebooks."""

    size: Positive = Field(
        200_000, description="Items in the sample, exactly, or all valid items where there are fewer"
    )
    exposure_power: Annotated[float, Field(ge=0.0)] = Field(
        0.0, description="alpha: items are drawn in proportion to exposure^alpha; 0 is uniform"
    )
    holdout: Annotated[float, Field(ge=0.0, le=0.5)] = Field(
        0.1, description="Share of the sample kept out of the fit to judge it"
    )
