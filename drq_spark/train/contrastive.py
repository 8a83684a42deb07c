"""Learning from pairs: symmetric in-batch InfoNCE and the batches of pairs it is fed with.

    loss = -1/2n sum_i [ln softmax_j(s_ij)_i + ln softmax_j(t_ij)_i]
    s_ij = <a_i, b_j> / temperature - c ln q(b_j),  t_ij = <b_i, a_j> / temperature - c ln q(a_j)

(van den Oord et al. 2018, both directions as in Radford et al. 2021). The others of a batch are the negatives, so an
item is one as often as it is popular, and s learns ln p(b | a) / q(b). c ln q undoes a share c of that (logQ
correction, Yi et al. 2019): with c = 1 it learns ln p(b | a), in which popular items are near to everything.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from drq_spark.arrays import I64
from drq_spark.config import Contrast
from drq_spark.train.descent import random_batches

PAIRS_STREAM = 5  # purpose of the random numbers of whatever learns from pairs, see `random_stream`
_MOST_PASSES = 8  # over the pairs; more learn them by heart
_LEAST_NEGATIVES = 128  # pairs of a small batch; fewer say too little about a pair
_SHORTEST = 1e-6  # norm of a vector below which its direction is not meant


@dataclass(frozen=True)
class PairBatch:
    """n pairs: rows of the left and right items, int64 [n]."""

    left: Tensor
    right: Tensor


class Pairs:
    """The training pairs, and how popular their items are.

    Args:
        pairs: int64 [p, 2], p > 0.
        items: Number of items, m.
        batch_size, steps: What is wanted of both.

    Attributes:
        log_share: float32 [m], ln q of each item, q its share among the ends of the pairs; 0 for items without a pair.
        batch_size: Pairs a step. Few pairs make small batches, so that there are as many steps as wanted: with 3,000
            pairs of packages_5k they gave an AUC of .86 against .84.
        steps: As many as wanted, within the most passes over the pairs that are of use.
    """

    def __init__(self, pairs: I64, items: int, batch_size: int, steps: int) -> None:
        counts = np.bincount(pairs.ravel(), minlength=items)
        share = np.where(counts > 0, counts, pairs.size) / pairs.size
        self.log_share = torch.from_numpy(np.log(share).astype(np.float32))
        enough = max(_MOST_PASSES * len(pairs) // steps, _LEAST_NEGATIVES)
        self.batch_size = min(batch_size, enough, len(pairs))
        self.steps = min(steps, _MOST_PASSES * (len(pairs) // self.batch_size))
        self._pairs = torch.from_numpy(pairs)

    def batches(self, generator: torch.Generator) -> Iterator[PairBatch]:
        """Batches without end, see `random_batches`."""
        for chosen in random_batches(len(self._pairs), self.batch_size, generator):
            left, right = self._pairs[chosen].T
            yield PairBatch(left, right)


@dataclass(frozen=True)
class ItemsOfPairs:
    """The different items of a batch of pairs.

    Attributes:
        rows: [m, ..] on the CPU, what is known of each.
        pairs, log_share, temperature: As `info_nce` takes them.
    """

    rows: Tensor
    pairs: PairBatch
    log_share: Tensor
    temperature: float

    def loss(self, vectors: Tensor) -> Tensor:
        """InfoNCE of the directions of vectors [m, d] of these items."""
        directions = functional.normalize(vectors, dim=1, eps=_SHORTEST)
        return info_nce(directions, self.pairs, self.log_share, self.temperature)


class PairLoss:
    """InfoNCE, batch after batch of the training pairs.

    Args:
        rows: [m, ..], what is known of each item, for instance its prepared embedding.
        pairs: int64 [p, 2], rows of it.
        settings: Batch size, steps, temperature, popularity correction.
        generator: Draws the batches.
        device: Device of the vectors.

    Attributes:
        steps: Number of batches that are of use.
    """

    def __init__(
        self, rows: NDArray[Any], pairs: I64, settings: Contrast, generator: torch.Generator, device: torch.device
    ) -> None:
        drawn = Pairs(pairs, len(rows), settings.batch_size, settings.steps)
        self.steps = drawn.steps
        self._batches = drawn.batches(generator)
        self._rows = torch.from_numpy(rows)
        self._log_share = (settings.popularity_correction * drawn.log_share).to(device)
        self._temperature, self._device = settings.temperature, device

    def next(self) -> ItemsOfPairs:
        """The next batch."""
        batch = next(self._batches)
        items, place = torch.unique(torch.cat([batch.left, batch.right]), return_inverse=True)
        left, right = place.to(self._device).chunk(2)
        log_share = self._log_share[items.to(self._device)]
        return ItemsOfPairs(self._rows[items], PairBatch(left, right), log_share, self._temperature)


def info_nce(directions: Tensor, batch: PairBatch, log_share: Tensor, temperature: float) -> Tensor:
    """The loss above, a scalar.

    A negative that is the anchor's own partner again is no negative and is left out. Partners that the anchor has in
    other pairs stay: without them (29 % of the negatives on packages_5k) the AUC against popular partners fell by
    .01, for most of what is popular was together once.

    Popular items come many times in a batch, so every different item is compared once and counts as often as it came.

    Args:
        directions: float32 [m, d], unit vectors of some items.
        batch: The pairs, rows of `directions`, on their device.
        log_share: float32 [m], c ln q of these items.
        temperature: Temperature of the softmax.
    """
    left, anchor, left_count = torch.unique(batch.left, return_inverse=True, return_counts=True)
    right, partner, right_count = torch.unique(batch.right, return_inverse=True, return_counts=True)
    similarity = directions[left] @ directions[right].T / temperature
    forward = _softmax_loss(similarity - log_share[right], anchor, partner, right_count)
    return 0.5 * (forward + _softmax_loss(similarity.T - log_share[left], partner, anchor, left_count))


def _softmax_loss(logits: Tensor, anchor: Tensor, partner: Tensor, count: Tensor) -> Tensor:
    """Mean of -ln softmax of the pairs (anchor, partner), places int64 [n] in logits [a, b].

    Column b is there `count` times; all but one are left out of the sum where it is the partner itself.
    """
    total = (logits + count.to(logits.dtype).log()).logsumexp(dim=1)[anchor]
    own = logits[anchor, partner]
    again = (count - 1)[partner] * (own - total).exp()
    return (total + torch.log1p(-again) - own).mean()
