"""Which tokenizer, and the shape of its SIDs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from drq_spark.code_space import check_codebook_sizes
from drq_spark.config.section import Place, Positive, Section, Share
from drq_spark.errors import ConfigError
from drq_spark.kinds import KINDS, Kind, kind_of, words_of_default

_NOT_FITTED = ", ".join(name for name, kind in KINDS.items() if not kind.dataset_books)


class TokenizerSettings(Section):
    """Which tokenizer, and the shape of its SIDs."""

    name: str = Field("drq", description="Name in the registry of trainers")
    levels: Positive = Field(3, description="L, codes in a SID")
    codes: Positive | tuple[Positive, ...] = Field(256, description="K, codes a level: one number, or one per level")

    source: Place = Field(
        None,
        description="Take a tokenizer that is there instead of training one: folder of an artifact, or published for the one that readers follow",
    )
    balance: Share | None = Field(
        None,
        description=f"Prices that even out the use of codes: 0 none, 1 uniform; {words_of_default('balance')}. Not for {_NOT_FITTED}",
    )
    balance_by: Literal["items", "exposure"] = Field("items", description="Even out the items or the exposure of codes")
    beam: Annotated[int, Field(ge=1, le=64)] | None = Field(
        None, description=f"Paths kept while encoding: 1 is greedy and cheapest; {words_of_default('beam')}"
    )

    @property
    def kind(self) -> Kind:
        """What is declared of the kind."""
        return kind_of(self.name)

    @property
    def kept_balance(self) -> float:
        """`balance`, or the default of the kind."""
        return self.kind.balance if self.balance is None else self.balance

    @property
    def beam_width(self) -> int:
        """`beam`, or the default of the kind."""
        return self.kind.beam if self.beam is None else self.beam

    @property
    def codebook_sizes(self) -> tuple[int, ...]:
        """K per level."""
        return (self.codes,) * self.levels if isinstance(self.codes, int) else self.codes

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        kind_of(name)
        return name

    @model_validator(mode="after")
    def _shape(self) -> TokenizerSettings:
        if not isinstance(self.codes, int) and len(self.codes) != self.levels:
            raise ValueError(f"tokenizer.codes lists {len(self.codes)} levels, tokenizer.levels is {self.levels}")
        try:
            check_codebook_sizes(self.codebook_sizes)
        except ValueError as error:
            raise ConfigError(f"tokenizer.{error}") from None
        if not self.kind.dataset_books and (self.balance is not None or self.beam is not None):
            raise ValueError(
                f"tokenizer.balance and tokenizer.beam are not for {self.name}: its books are trained, not fitted"
            )
        if self.balance_by == "exposure" and self.kept_balance == 0:
            raise ValueError("tokenizer.balance_by is exposure, but tokenizer.balance keeps no prices: set it above 0")
        return self
