"""Learning from pairs: symmetric in-batch InfoNCE and the batches of pairs it is fed with.

    loss = -1/2n sum_i [ln softmax_j(s_ij)_i + ln softmax_j(s_ji)_i],  s_ij = <a_i, b_j> / temperature - c ln q(b_j)

(van den Oord et al. 2018, both directions as in Radford et al. 2021). The others of a batch are the negatives, so an
item is one as often as it is popular, and s learns ln p(b | a) / q(b). c ln q undoes a share c of that (logQ
correction, Yi et al. 2019): with c = 1 it learns ln p(b | a), in which popular items are near to everything.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

I64 = NDArray[np.int64]

PAIRS_STREAM = 5  # purpose of the random numbers of whatever learns from pairs, see `random_stream`
_MOST_PASSES = 8  # over the pairs; more learn them by heart


@dataclass(frozen=True)
class PairBatch:
    """n pairs: rows of the left and right items, int64 [n]."""

    left: Tensor
    right: Tensor


class Pairs:
    """The training pairs, and how popular their items are.

    Attributes:
        log_share: float32 [m], ln q of each item, q its share among the ends of the pairs; 0 for items without a pair.
        batch_size: pairs a step, no more than there are.
    """

    def __init__(self, pairs: I64, items: int, batch_size: int) -> None:
        counts = np.bincount(pairs.ravel(), minlength=items)
        share = np.where(counts > 0, counts, pairs.size) / pairs.size
        self.log_share = torch.from_numpy(np.log(share).astype(np.float32))
        self.batch_size = min(batch_size, len(pairs))
        self._pairs = torch.from_numpy(pairs)

    def steps(self, wanted: int) -> int:
        """As many steps as wanted, within the most passes over the pairs that are of use."""
        return min(wanted, _MOST_PASSES * (len(self._pairs) // self.batch_size))

    def batches(self, generator: torch.Generator) -> Iterator[PairBatch]:
        """Batches without end: pass after pass in new random orders, the incomplete last batch of a pass left out."""
        whole = len(self._pairs) // self.batch_size * self.batch_size
        while True:
            order = torch.randperm(len(self._pairs), generator=generator)[:whole]
            for chosen in order.view(-1, self.batch_size):
                left, right = self._pairs[chosen].T
                yield PairBatch(left, right)


def info_nce(left: Tensor, right: Tensor, batch: PairBatch, log_share: Tensor, temperature: float) -> Tensor:
    """The loss above, a scalar.

    Args:
        left: float32 [n, d], unit vectors of `batch.left`. right: the same of `batch.right`.
        batch: the rows of the items, on the device of the vectors. A negative that is the anchor's own partner again
            is no negative and is left out.
        log_share: float32 [m], c ln q of every item.
        temperature: of the softmax.
    """
    similarity = left @ right.T / temperature
    forward = _softmax_loss(similarity, batch.right, log_share)
    return 0.5 * (forward + _softmax_loss(similarity.T, batch.left, log_share))


def _softmax_loss(similarity: Tensor, items: Tensor, log_share: Tensor) -> Tensor:
    """Mean of -ln softmax at the diagonal; columns are `items`."""
    again = (items == items[:, None]).fill_diagonal_(False)
    logits = (similarity - log_share[items]).masked_fill(again, -torch.inf)
    return (logits.logsumexp(dim=1) - logits.diagonal()).mean()
