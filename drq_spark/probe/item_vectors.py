"""What a ranker knows of an item: a vector by its id, its embedding, its SID, or a SID's centre and a small rest by id.

Each is a module from rows of the candidates to vectors, zeros for `NO_ITEM`. Items without training events keep no
random numbers of their own: what nobody could learn is zero, so that a cold item by id is no item, and a cold item by
SID is what the shared part of its SID says.

Sources: prefix n-grams of SIDs hashed into one table: Zheng et al. 2025 (arXiv 2504.02137); centre and residual: Zhou
et al. 2019 (Res-embedding, arXiv 1906.10304), the centre here from the SID in place of a graph of items.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from drq_spark.arrays import F32, I32, I64
from drq_spark.probe.behaviour_data import Candidates

_PREFIX_BUCKETS = 2**14  # rows that all prefixes of two codes and more share, at most
_BUCKETS_PER_ITEM = 16
_PULL = 0.02  # of the squared length of a residual, on the scale of the log loss


class ItemVectors(nn.Module, ABC):
    """Vectors of items.

    Args:
        items: n, the number of candidates.
        width: Numbers in a vector.
    """

    def __init__(self, items: int, width: int) -> None:
        super().__init__()
        self.items, self.width = items, width

    @abstractmethod
    def forward(self, rows: Tensor) -> Tensor:
        """int64 [...] -> float32 [..., width]; zeros for `NO_ITEM`."""

    def pull(self, rows: Tensor) -> Tensor:
        """What is added to the loss of a batch that names these rows, a scalar."""
        return torch.zeros(())

    def _place(self, rows: Tensor) -> Tensor:
        """Where an item stands in a table of n + 1 rows, whose last is no item."""
        return rows % (self.items + 1)


class IdVectors(ItemVectors):
    """A free vector for each item, [n + 1, width]."""

    def __init__(self, candidates: Candidates, width: int) -> None:
        super().__init__(len(candidates), width)
        self.table = _table(np.append(~candidates.cold, False), width)

    def forward(self, rows: Tensor) -> Tensor:
        """As `ItemVectors`."""
        found: Tensor = self.table(self._place(rows))
        return found


class EmbeddingVectors(ItemVectors):
    """A linear map of the embedding, which is centred and scaled to a mean square of 1 first."""

    x: Tensor

    def __init__(self, candidates: Candidates, width: int) -> None:
        super().__init__(len(candidates), width)
        self.register_buffer("x", torch.from_numpy(_standardised(candidates.x)))
        self.map = nn.Linear(candidates.x.shape[1], width, bias=False)

    def forward(self, rows: Tensor) -> Tensor:
        """As `ItemVectors`; each different item is mapped once."""
        different, place = torch.unique(self._place(rows), return_inverse=True)
        mapped: Tensor = self.map(self.x.index_select(0, different))
        return _looked_up(mapped, place)


@dataclass(frozen=True)
class SidTable:
    """Which rows of one table a SID is the sum of: those of its codes, then those that hashed prefixes share.

    Attributes:
        codebook_sizes: K of each level.
        buckets: Rows that all prefixes of two codes and more share; 0 where SIDs have one code.
    """

    codebook_sizes: tuple[int, ...]
    buckets: int

    @classmethod
    def for_items(cls, items: int, codebook_sizes: tuple[int, ...]) -> SidTable:
        """A table for so many items."""
        return cls(codebook_sizes, min(_PREFIX_BUCKETS, _BUCKETS_PER_ITEM * items) if len(codebook_sizes) > 1 else 0)

    @property
    def rows(self) -> int:
        """How many rows the table has; the last one is no token."""
        return sum(self.codebook_sizes) + self.buckets + 1

    def tokens(self, codes: I32) -> I64:
        """Codes int32 [n, L] -> rows int64 [n + 1, 2 L - 1], the codes of all levels, then the prefixes.

        The last item is no item.
        """
        offsets = np.cumsum([0, *self.codebook_sizes])
        wide = codes.astype(np.uint64)
        hashed = wide[:, 0]
        prefixes = []
        for level in range(1, codes.shape[1]):
            hashed = _mixed(hashed * np.uint64(self.codebook_sizes[level]) + wide[:, level])
            prefixes.append(hashed % np.uint64(self.buckets) + np.uint64(offsets[-1]))
        columns = [*(codes + offsets[:-1]).T, *prefixes]
        tokens = np.full((len(codes) + 1, len(columns)), self.rows - 1, np.int64)
        tokens[:-1] = np.stack(columns, axis=1).astype(np.int64)
        return tokens


class SidVectors(ItemVectors):
    """The sum of vectors of the codes and of each prefix of two codes and more, over the root of their number."""

    tokens: Tensor

    def __init__(self, candidates: Candidates, width: int) -> None:
        super().__init__(len(candidates), width)
        self.spelled = SidTable.for_items(len(candidates), candidates.codebook_sizes)
        tokens = self.spelled.tokens(candidates.codes)
        self.register_buffer("tokens", torch.from_numpy(tokens), persistent=False)
        trained = np.zeros(self.spelled.rows, np.bool_)
        trained[tokens[:-1][~candidates.cold]] = True
        self.table = _table(trained, width)

    @classmethod
    def of_codes(cls, codes: I32, spelled: SidTable, table: nn.Embedding) -> SidVectors:
        """Vectors of any items int32 [n, L], which are called by their rows, from a table that is there."""
        vectors = cls.__new__(cls)
        ItemVectors.__init__(vectors, len(codes), table.embedding_dim)
        vectors.spelled, vectors.table = spelled, table
        vectors.register_buffer("tokens", torch.from_numpy(spelled.tokens(codes)), persistent=False)
        return vectors

    def knowing(self, codes: I32) -> SidVectors:
        """The vectors of other items int32 [n, L] in place of these; what was learned is the same."""
        return SidVectors.of_codes(codes, self.spelled, self.table)

    def forward(self, rows: Tensor) -> Tensor:
        """As `ItemVectors`."""
        parts: Tensor = self.table(_looked_up(self.tokens, self._place(rows)))
        total: Tensor = parts.sum(dim=-2) / self.tokens.shape[1] ** 0.5
        return total


class ResVectors(ItemVectors):
    """A centre by SID and a small residual by id, which starts at zero and is pulled back to it."""

    def __init__(self, candidates: Candidates, width: int) -> None:
        super().__init__(len(candidates), width)
        self.centre = SidVectors(candidates, width)
        self.residual = _table(np.zeros(len(candidates) + 1, np.bool_), width)

    def forward(self, rows: Tensor) -> Tensor:
        """As `ItemVectors`."""
        vectors: Tensor = self.centre(rows) + self.residual(self._place(rows))
        return vectors

    def pull(self, rows: Tensor) -> Tensor:
        """The mean squared length of the residuals of the rows, times a weight."""
        lengths: Tensor = self.residual(self._place(rows)).square().sum(dim=-1)
        return _PULL * lengths.mean()


def _mixed(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finalizer of splitmix64 (Steele et al. 2014): near numbers come apart."""
    with np.errstate(over="ignore"):
        numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(numbers ^ (numbers >> np.uint64(31)))


def _looked_up(rows: Tensor, places: Tensor) -> Tensor:
    """rows[places], faster."""
    return rows.index_select(0, places.flatten()).view(*places.shape, *rows.shape[1:])


def _table(trained: NDArray[np.bool_], width: int) -> nn.Embedding:
    """A table whose trained rows start at about length 1 and all others at zero; the last stays there."""
    start = torch.randn(len(trained), width) / width**0.5 * torch.from_numpy(trained)[:, None]
    return nn.Embedding(len(trained), width, padding_idx=len(trained) - 1, _weight=start)


def _standardised(x: F32) -> F32:
    """Centred rows with a mean square of 1 a number, and a row of zeros behind them."""
    centred = x - x.mean(axis=0, dtype=np.float64)
    scale = np.sqrt(np.square(centred).mean()) or 1.0
    return np.concatenate([centred / scale, np.zeros((1, x.shape[1]))]).astype(np.float32)
