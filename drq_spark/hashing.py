"""Which items and pairs are drawn: numbers that depend on ids, the seed and weights, and on nothing else.

Weighted sampling without replacement by exponential variates (Efraimidis and Spirakis 2006): the n lowest keys
-ln(1 - u) / w are a sample in which item after item is drawn in proportion to w. u comes from a hash of the id.
"""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import Column
from pyspark.sql import functions as F

_BUCKETS_PER_OCTAVE = 16
_UNWEIGHTED_LAST = 1e300  # items of weight 0 come after all others, among themselves in hash order
_LOWEST, _HIGHEST = 1e-300, 1e280  # keys of all others: finite, above 0, below those of weight 0


def sample_key(seed: int, exposure_power: float) -> Column:
    """Key (double) of a row with columns item_id and exposure; weight w = exposure^exposure_power."""
    variate = -F.log1p(-uniform(F.xxhash64(_text("item_id"), F.lit(seed))))
    if exposure_power == 0:
        return variate
    weight = F.pow(F.col("exposure"), F.lit(exposure_power))
    weighted = F.greatest(F.least(variate / weight, F.lit(_HIGHEST)), F.lit(_LOWEST))
    return F.when(weight > 0, weighted).otherwise(variate * _UNWEIGHTED_LAST)


def key_bucket(key: Column) -> Column:
    """Logarithmic bucket (int) of a key, about 4 % wide; a lower bucket holds lower keys."""
    return F.floor(F.log2(key) * _BUCKETS_PER_OCTAVE).cast("int")


def last_bucket(histogram: Mapping[int, int], items: int) -> int:
    """The first bucket up to which there are at least `items` ids; the last one where there are fewer."""
    seen = 0
    for bucket in sorted(histogram):
        seen += histogram[bucket]
        if seen >= items:
            break
    return bucket


def item_key(purpose: str, seed: int) -> Column:
    """Key (bigint) of a row with column item_id: an order of the items for each purpose, independent of all others."""
    return F.xxhash64(F.lit(purpose), _text("item_id"), F.lit(seed))


def within_share(purpose: str, seed: int, share: float) -> Column:
    """Whether a row with column item_id belongs to the share of the items that is chosen for a purpose."""
    return uniform(item_key(purpose, seed)) < share


def lowest_share(purpose: str, seed: int, share: float) -> Column:
    """Whether the `item_key` of a row with column item_id is among so large a share of all keys, the lowest ones."""
    return item_key(purpose, seed) < F.lit(min(2**63 - 1, int(share * 2.0**64) - 2**63))


def pair_key(seed: int) -> Column:
    """Key (bigint, uniform from 0 to 2^63 - 1) of a row with columns user, position, item_id, next_item_id."""
    hashed = F.xxhash64(F.lit("pair"), "user", "position", _text("item_id"), _text("next_item_id"), F.lit(seed))
    return F.shiftrightunsigned(hashed, 1)


def tie_key(seed: int) -> Column:
    """Key (bigint) that orders the events of a user (user, item_id) at one position: by nothing that ids tell."""
    return F.xxhash64(F.lit("tie"), "user", "position", _text("item_id"), F.lit(seed))


def user_key(seed: int) -> Column:
    """Key (bigint) of the user of a row with column user."""
    return F.xxhash64(F.lit("user"), "user", F.lit(seed))


def bucket_key(seed: int) -> Column:
    """Key (double) of a row with columns sid and items (n): -ln(1 - u) / n, so that P(key < t) = 1 - exp(-n t)."""
    return -F.log1p(-uniform(F.xxhash64(F.lit("bucket"), "sid", F.lit(seed)))) / F.col("items")


def held_out_user(seed: int, share: float) -> Column:
    """Whether the user of a row with column user belongs to the given share of users that only judge."""
    return uniform(user_key(seed)) < share


def uniform(hashed: Column) -> Column:
    """Number inside (0, 1) from the upper 53 bits of a hash."""
    return (F.shiftrightunsigned(hashed, 11).cast("double") + 0.5) / float(2**53)


def _text(name: str) -> Column:
    """An id as text: the number 7 and the text 7 have the same keys."""
    return F.col(name).cast("string")
