"""The items that figures are going to draw, told before items have SIDs: the assignment keeps their embeddings.

Most items are drawn by a hash of their ids, or because they stand in a pair of events, whatever their SIDs are. What is
foreseen is a little more than what is drawn, for an item without a usable embedding makes room for another one.
"""

from __future__ import annotations

from functools import reduce
from math import sqrt
from operator import or_

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from drq_spark.config import Config
from drq_spark.hashing import lowest_share, within_share
from drq_spark.inputs.items import Catalogue
from drq_spark.measure.capacity.sigma import MOST_ITEMS
from drq_spark.metrics import Ruler

_SPARE = 1.05  # rows without a usable embedding are seldom more
_DEVIATIONS = 6.0  # by which the number of keys below a bound may fall short


def most_drawn(config: Config, *, pairs: bool) -> int:
    """How many items figures draw at most, without those of shared SIDs; `pairs` says whether there are events."""
    settings = config.measure
    most = MOST_ITEMS + settings.perturbed_items + settings.neighbour_queries
    return most + 3 * _most_pairs(config) if pairs else most


def is_all(config: Config, rows: int) -> bool:
    """Whether all of so many rows are foreseen."""
    return rows <= _SPARE * config.measure.perturbed_items


def foreseen(config: Config, catalogue: Catalogue) -> DataFrame:
    """The catalogue with a column `wanted`, true for the items that figures are going to draw, and some more.

    Of a small catalogue that is all of it: even then it is read once for what would be several readings.
    """
    rows, settings, events = catalogue.profile.rows, config.measure, catalogue.events
    if is_all(config, rows):
        return catalogue.df.withColumn("wanted", F.lit(True))
    queries = max(settings.neighbour_queries, _most_pairs(config) if events is not None else 0)
    drawn = [
        _lowest(Ruler.INPUT.value, config, MOST_ITEMS, rows),
        _lowest("query", config, queries, rows),
        within_share("perturbation", config.seed, _SPARE * settings.perturbed_items / rows),
    ]
    if settings.embeddings_after is not None:
        drawn.append(_lowest(Ruler.AFTER.value, config, MOST_ITEMS, rows))
    if events is None:
        return catalogue.df.withColumn("wanted", reduce(or_, drawn))
    ends = F.broadcast(_ends(events.pairs(), config).withColumn("in_pair", F.lit(True)))
    marked = catalogue.df.join(ends, "item_id", "left")
    return marked.withColumn("wanted", reduce(or_, drawn) | F.coalesce("in_pair", F.lit(False))).drop("in_pair")


def _most_pairs(config: Config) -> int:
    return max(config.measure.ranked_pairs, config.measure.scored_pairs)


def _lowest(purpose: str, config: Config, count: int, rows: int) -> Column:
    """Whether an item may be among the `count` of the rows with the lowest keys for a purpose."""
    return lowest_share(purpose, config.seed, min(1.0, _SPARE * (count + _DEVIATIONS * sqrt(count)) / rows))


def _ends(pairs: DataFrame, config: Config) -> DataFrame:
    """item_id, each once, of the pairs that are the likeliest to judge."""
    judging = pairs.where("held_out") if config.holds_users_out else pairs
    most = int(_SPARE * _most_pairs(config))
    lowest = judging.orderBy("pair_key", "item_id", "next_item_id").limit(most)
    return lowest.select(F.explode(F.array("item_id", "next_item_id")).alias("item_id")).distinct()
