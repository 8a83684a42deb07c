"""Head, torso and tail of a catalogue: who is in them, and which codes they use.

Items are put in groups of nearly equal exposure, about 1 % wide, and a group is never split: the rule is
exposure >= threshold, and it depends on the items alone.
"""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from drq_spark.formulas import usage
from drq_spark.formulas.usage import GROUPS_PER_OCTAVE, LevelUsage
from drq_spark.measure.aggregates import Thresholds
from drq_spark.measure.usage.code_usage import level_usage, use

HEAD, TORSO, TAIL = "head", "torso", "tail"
SEGMENTS = (HEAD, TORSO, TAIL)


def segment_thresholds(sids: DataFrame) -> Thresholds | None:
    """Where head and torso begin, see `formulas.usage.segment_thresholds`; None without exposure.

    It takes one pass over the exposure; a logarithmic histogram of at most 64 rows an octave reaches the driver.
    """
    exposed = sids.select("exposure").where(F.col("exposure") > 0)
    bucket = F.floor(F.log2("exposure") * GROUPS_PER_OCTAVE)
    groups = exposed.groupBy(bucket).agg(F.min("exposure").alias("lowest"), F.sum("exposure").alias("sum")).toArrow()
    found = usage.segment_thresholds(groups["lowest"].to_numpy(), groups["sum"].to_numpy())
    return None if found is None else Thresholds(*found)


def segment_of(thresholds: Thresholds | None) -> Column:
    """Segment (text) of a row with column exposure; tail where the exposure is 0 or NULL, or nothing is exposed."""
    if thresholds is None:
        return F.lit(TAIL)
    segment = F.when(F.col("exposure") >= thresholds.head, HEAD)
    if thresholds.torso is not None:
        segment = segment.when(F.col("exposure") >= thresholds.torso, TORSO)
    return segment.otherwise(TAIL)


def usage_by_segment(
    sids: DataFrame, codebook_sizes: tuple[int, ...], thresholds: Thresholds | None
) -> tuple[tuple[LevelUsage, ...], Mapping[str, tuple[LevelUsage, ...]]]:
    """Use of every code of every level by all items, and by those of each segment.

    It takes one group-by for both: 3 x L x K numbers reach the driver.
    """
    exploded = sids.select(F.posexplode("codes").alias("level", "code"), "exposure", segment_of(thresholds).alias("by"))
    rows = exploded.groupBy("level", "code", "by").agg(*use()).toArrow()
    whole = rows.group_by(["level", "code"]).aggregate([("items", "sum"), ("exposure", "sum")])
    whole = whole.rename_columns({"items_sum": "items", "exposure_sum": "exposure"})
    parts = {name: rows.filter(pc.field("by") == name) for name in SEGMENTS}
    return level_usage(whole, codebook_sizes), {name: level_usage(part, codebook_sizes) for name, part in parts.items()}
