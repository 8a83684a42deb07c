"""A tokenizer whose search has its products from a GPU: the same SIDs and figures, to the bit."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING

from drq_spark.tokenizer.kernel_choice import Searches
from drq_spark.tokenizer.model import Tokenizer

if TYPE_CHECKING:
    from drq_spark.tokenizer.fast.products import Multiplier


@dataclass(frozen=True, repr=False)
class GpuTokenizer(Tokenizer):
    """The same with one attribute more; encoding it for the first time raises what `Searches` raises.

    Attributes:
        multiplier: What makes the products.
    """

    multiplier: Multiplier | None = None

    @classmethod
    def of(cls, tokenizer: Tokenizer, multiplier: Multiplier) -> GpuTokenizer:
        """A tokenizer, and what makes its products from now on."""
        return cls(**{field.name: getattr(tokenizer, field.name) for field in fields(Tokenizer)}, multiplier=multiplier)

    @cached_property
    def _searches(self) -> Searches:
        return Searches(self._prepared, self.beam, self.multiplier)
