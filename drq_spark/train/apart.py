"""Items of the sample that share a SID, moved apart: what books and tables learn from it.

Books are fitted to what is most frequent, so where items are dense several of them end in one SID. If the books are
solved once more for the SIDs that these items would have if no two shared one, the dense places are told apart better:
measured on the bundled and on larger catalogues two to three more items in a hundred have a SID of their own, at the
same error of unseen items and the same use of codes. More rounds gain little and can lose a code.
"""

from __future__ import annotations

import numpy as np

from drq_spark.arrays import F32, I32, I64
from drq_spark.config import Collisions
from drq_spark.formulas.deferred_acceptance import spread_out
from drq_spark.tokenizer import Tokenizer
from drq_spark.tokenizer.alternatives import alternatives
from drq_spark.train.decode_tables import joint_least_squares

CANDIDATES = 16  # SIDs that an item could have; with 8 some items find none that is free


def solved_apart(tokenizer: Tokenizer, latents: F32, codes: I32) -> tuple[F32, ...]:
    """The books, one float32 [K, d] per level, solved for the codes of `apart_codes` and drawn to what they are.

    Args:
        tokenizer, latents, codes: As for `apart_codes`.
    """
    return joint_least_squares(latents, apart_codes(tokenizer, latents, codes), tokenizer.codebooks)


def policy_codes(tokenizer: Tokenizer, latents: F32, codes: I32, settings: Collisions) -> I32:
    """Codes int32 [n, L] that the sample has after `collisions.policy`: what decode tables are solved for.

    Args:
        tokenizer, latents, codes: As for `apart_codes`.
    """
    if settings.policy != "spread":
        return codes
    return apart_codes(tokenizer, latents, codes, settings.candidates, settings.capacity)


def apart_codes(tokenizer: Tokenizer, latents: F32, codes: I32, most: int = CANDIDATES, capacity: int = 1) -> I32:
    """Codes int32 [n, L] if no SID had more than `capacity` different latents, as far as `most` SIDs an item allow.

    Args:
        tokenizer: What gave the rows their codes.
        latents: float32 [n, d].
        codes: int32 [n, L], theirs.
    """
    own = tokenizer.keys(codes)
    _, place, count = np.unique(own, return_inverse=True, return_counts=True)
    shared = np.flatnonzero(count[place] > 1)
    if not len(shared):
        return codes
    found = alternatives(tokenizer, latents[shared], most)
    keys = np.repeat(own[:, None], found.keys.shape[1], axis=1)
    cost = np.full(keys.shape, np.inf)
    cost[:, 0] = 0.0  # who stays has no other
    keys[shared], cost[shared] = found.keys, found.cost
    group = np.arange(len(own))
    group[shared] = shared[_first_equal(latents[shared])]
    chosen = spread_out(keys, cost, group, capacity)[shared]
    moved = codes.copy()
    moved[shared] = found.codes[np.arange(len(shared)), chosen]
    return np.asarray(moved)


def _first_equal(rows: F32) -> I64:
    """The first row with the same numbers as each row, int64 [n]."""
    whole = np.ascontiguousarray(rows).view([("", rows.dtype, rows.shape[1])])[:, 0]
    _, first, member = np.unique(whole, return_index=True, return_inverse=True)
    return np.asarray(first[member])
