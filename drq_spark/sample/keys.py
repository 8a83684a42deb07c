"""Which items are drawn: a number per item that depends on its id, the seed and its weight, and on nothing else.

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
    hashed = F.shiftrightunsigned(F.xxhash64(F.col("item_id").cast("string"), F.lit(seed)), 11)
    uniform = (hashed.cast("double") + 0.5) / float(2**53)
    variate = -F.log1p(-uniform)
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
