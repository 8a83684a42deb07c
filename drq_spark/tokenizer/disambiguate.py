"""Items that share a SID, moved apart: each takes its cheapest path that nobody with a better claim holds.

The claim of an item to a path is what it would lose by going on to its next cheapest one, so those that move are those
that lose least. The result is the stable matching that is best for the items (deferred acceptance: Gale and Shapley
1962, College admissions and the stability of marriage): it depends on no order but that of the rows, which decides
ties. It is a property of the catalogue, not of an item: another item may change it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drq_spark.arrays import F64, I32, I64
from drq_spark.tokenizer.beam import Paths

_OUT = -1  # rank of an item whose paths are all held by others


def spread(paths: Paths, keys: I64) -> I32:
    """Codes int32 [n, L] in which as few items share a SID as their paths allow.

    Args:
        paths: The cheapest paths of n items, see `Tokenizer.paths`.
        keys: int64 [n, m], the key of each path, see `Tokenizer.keys`.

    An item whose paths are all held by others stays on its cheapest one.
    """
    count, ranks = keys.shape
    claim = _claims(paths.cost)
    rank = np.zeros(count, np.int64)
    while len(refused := _refused(keys, claim, rank)):
        rank[refused] += 1
        rank[rank == ranks] = _OUT
    return np.asarray(paths.codes[np.arange(count), rank.clip(min=0)])


def _claims(cost: F64) -> F64:
    """What each item loses by going on to its next path, [n, m]; there is nothing after the last."""
    return np.diff(cost, axis=1, append=np.inf)


def _refused(keys: I64, claim: F64, rank: I64) -> NDArray[np.intp]:
    """Items that ask for a path to which another has the better claim."""
    asking = np.flatnonzero(rank != _OUT)
    wanted, strength = keys[asking, rank[asking]], claim[asking, rank[asking]]
    order = np.lexsort((asking, -strength, wanted))
    held = np.diff(wanted[order], prepend=np.int64(-1)) == 0
    return np.asarray(asking[order][held])
