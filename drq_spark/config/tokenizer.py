"""Which tokenizer, and the shape of its SIDs."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field, model_validator

from drq_spark.config.section import Positive, Section, Share
from drq_spark.tokenizer.keys import check_codebook_sizes

Kind = Literal["drq", "rq_kmeans", "rq_vae", "rqp_vae", "drq_vae", "drq_vae_cl"]
TOKENIZERS = ", ".join(get_args(Kind))
WITHOUT_DATASET_BOOKS: frozenset[str] = frozenset({"rq_vae", "rqp_vae"})
"""Tokenizers whose books are trained together with the encoder."""
USES_BEHAVIOUR: frozenset[str] = frozenset({"drq", "drq_vae_cl"})
"""Tokenizers that learn from pairs of consecutive items where events are given."""
NEEDS_BEHAVIOUR: frozenset[str] = frozenset({"drq_vae_cl"})
"""Those of them that cannot do without."""


class TokenizerSettings(Section):
    """Which tokenizer, and the shape of its SIDs."""

    name: Kind = Field("drq", description="Name in the registry of trainers")
    levels: Positive = Field(3, description="L, codes in a SID")
    codes: Positive | tuple[Positive, ...] = Field(256, description="K, codes a level: one number, or one per level")

    balance: Share | None = Field(
        None,
        description="Prices that even out the use of codes: 0 none, 1 uniform; 0.55 for drq, else 0. Not for rq_vae, rqp_vae",
    )
    balance_by: Literal["items", "exposure"] = Field("items", description="Even out the items or the exposure of codes")
    beam: Annotated[int, Field(ge=1, le=64)] | None = Field(
        None, description="Paths kept while encoding: 1 is greedy and cheapest; 4 for drq, else 1"
    )

    @property
    def kept_balance(self) -> float:
        """`balance`, or the default of the kind."""
        if self.balance is not None:
            return self.balance
        return 0.55 if self.name == "drq" else 0.0

    @property
    def beam_width(self) -> int:
        """`beam`, or the default of the kind."""
        if self.beam is not None:
            return self.beam
        return 4 if self.name == "drq" else 1

    @property
    def codebook_sizes(self) -> tuple[int, ...]:
        """K per level."""
        return (self.codes,) * self.levels if isinstance(self.codes, int) else self.codes

    @model_validator(mode="after")
    def _shape(self) -> TokenizerSettings:
        if not isinstance(self.codes, int) and len(self.codes) != self.levels:
            raise ValueError(f"tokenizer.codes lists {len(self.codes)} levels, tokenizer.levels is {self.levels}")
        check_codebook_sizes(self.codebook_sizes)
        if self.name in WITHOUT_DATASET_BOOKS and (self.balance is not None or self.beam is not None):
            raise ValueError(
                f"tokenizer.balance and tokenizer.beam are not for {self.name}: its books are trained, not fitted"
            )
        if self.balance_by == "exposure" and self.kept_balance == 0:
            raise ValueError("tokenizer.balance_by is exposure, but tokenizer.balance keeps no prices: set it above 0")
        return self
