"""Draw pairs of consecutive items from the events, and the items in them: the same ones under any layout.

A pair is an event and the next event of the same user, of two different items that both have a usable embedding; see
`inputs.consecutive` for the order, and for events of items that the catalogue does not have.

Which pairs are drawn is decided by the key of the pair alone, a uniform hash, so that they are a uniform sample:

1. Of the users that training may see the `events.max_pairs` pairs with the lowest keys, of the held-out users
   (`events.holdout`, by hash of the user) max_pairs * holdout.
2. Of both together those below the lowest key that would touch more than `sample.size` different items: an item counts
   from the lowest key of its pairs on. That is `sample.size` items exactly (one fewer where the last pair would bring
   two), or all items of the pairs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from drq_spark.config import Config
from drq_spark.errors import InputRefused
from drq_spark.hashing import item_key
from drq_spark.inputs.consecutive import between
from drq_spark.inputs.embeddings import checked_rows
from drq_spark.inputs.event_account import EventAccount, why_no_pair
from drq_spark.inputs.events import Events
from drq_spark.inputs.items import Catalogue
from drq_spark.rows import one_row
from drq_spark.staging import Staging

_SPARE = 1.2  # candidates beyond the bounds, so that a few bad rows need no second round
_MORE = 4  # times as many candidates in the next round
_KEYS = 2**63


@dataclass(frozen=True)
class BehaviourDraw:
    """What the tables behaviour_items and behaviour_pairs hold, read from the staging folder.

    Attributes:
        items: item_id, split_key, embedding (array<float>) of every item in a pair.
        pairs: item_id, next_item_id, pair_key, held_out.
    """

    items: DataFrame
    pairs: DataFrame


def draw_behaviour(catalogue: Catalogue, events: Events, config: Config, staging: Staging) -> BehaviourDraw:
    """Draw the pairs and their items; every shuffle is on ids and keys, embeddings are read for candidates only.

    Args:
        catalogue: The items.
        events: The events of the run.
        config: Settings of the run.
        staging: Folder for thin rows and candidates.

    Raises:
        InputRefused: no pair is left to train on.
    """
    pairs = events.pairs().drop("user_key")
    totals = _count(pairs)
    bounds = {False: config.events.max_pairs, True: int(config.events.max_pairs * config.events.holdout)}
    ids, size, spare = catalogue.profile.ids, config.sample.size, _SPARE
    while True:
        near, whole = _candidates(pairs, totals, bounds, size, ids, spare)
        items = _usable(near, catalogue, config, staging)
        known = staging.keep(between(near, items), "usable_pairs")
        found = _count(known)
        drawn = _bounded(known, found, bounds)
        limit = _first_beyond(_first_keys(drawn), size, ids)
        if whole or limit is not None or all(found.get(kind, 0) >= bounds[kind] for kind in totals):
            break
        spare *= _MORE
    _check_enough(found, events.account, config)
    kept = drawn if limit is None else drawn.where(F.col("pair_key") < limit)
    touched = F.broadcast(_first_keys(kept).select("item_id"))
    return BehaviourDraw(items.join(touched, "item_id", "left_semi"), kept)


def _count(pairs: DataFrame) -> dict[bool, int]:
    """Pairs to train (False) and held-out ones (True), where there are any."""
    return {row.held_out: row["count"] for row in pairs.groupBy("held_out").count().collect()}


def _candidates(
    pairs: DataFrame, totals: Mapping[bool, int], bounds: Mapping[bool, int], size: int, ids: int, spare: float
) -> tuple[DataFrame, bool]:
    """All pairs below some key, `spare` times as many as the bounds and the size want; and whether there are no more.

    `ids` is how many items there are.
    """
    share = max((spare * bounds[kind] / total for kind, total in totals.items()), default=1.0)
    near = pairs if share >= 1 else pairs.where(F.col("pair_key") < int(share * _KEYS))
    limit = _first_beyond(_first_keys(near), int(spare * size), ids)
    return (near, share >= 1) if limit is None else (near.where(F.col("pair_key") < limit), False)


def _usable(pairs: DataFrame, catalogue: Catalogue, config: Config, staging: Staging) -> DataFrame:
    """Items of the pairs with a usable embedding, by the check that the sample has: item_id, split_key, embedding."""
    touched = F.broadcast(_first_keys(pairs).select("item_id"))
    rows = catalogue.df.select("item_id", "embedding").join(touched, "item_id", "left_semi")
    schema = f"item_id {catalogue.id_type}, reason string, embedding array<float>"
    check = checked_rows(catalogue.profile.dim, config.items.normalize)
    checked = staging.keep(rows.mapInArrow(check, schema), "pair_items")
    key = item_key("split", config.seed).alias("split_key")
    return checked.where("reason IS NULL").select("item_id", key, "embedding")


def _bounded(pairs: DataFrame, found: Mapping[bool, int], bounds: Mapping[bool, int]) -> DataFrame:
    """The pairs with the lowest keys of either kind, at most as many as its bound; `found` is how many there are."""
    for kind, bound in bounds.items():
        same = F.col("held_out") == kind
        keyed = pairs.where(same).select(F.col("pair_key").alias("first_key"))
        limit = _first_beyond(keyed, bound, found.get(kind, 0))
        if limit is not None:
            pairs = pairs.where(~same | (F.col("pair_key") < limit))
    return pairs


def _first_keys(pairs: DataFrame) -> DataFrame:
    """item_id, and first_key: the lowest key of a pair with the item at either end."""
    ends = pairs.select(F.explode(F.array("item_id", "next_item_id")).alias("item_id"), "pair_key")
    return ends.groupBy("item_id").agg(F.min("pair_key").alias("first_key"))


def _first_beyond(keyed: DataFrame, bound: int, most: int) -> int | None:
    """Key of the row after the `bound` rows with the lowest first_key, None where there is none.

    There are at most `most` rows: where that alone tells that there is none, nothing is computed.
    """
    if most <= bound:
        return None
    lowest = keyed.select("first_key").orderBy("first_key").limit(bound + 1)
    row = one_row(lowest.agg(F.count(F.lit(1)).alias("rows"), F.max("first_key").alias("last")))
    return int(row["last"]) if row["rows"] > bound else None


def _check_enough(found: Mapping[bool, int], account: EventAccount, config: Config) -> None:
    if found.get(False):
        return
    if found.get(True):
        cause = (
            f"all {found[True]:,} such pairs are of held-out users (events.holdout={config.events.holdout:g}), of "
            f"{account.users:,} users; lower it"
        )
    elif account.pairs:
        cause = f"{account.pairs:,} pairs have an item without a usable embedding"
    else:
        cause = why_no_pair(account, config)
    raise InputRefused(
        "events table: no two events of a user follow one another with different items of the catalogue that training "
        f"may see: {cause}. Else leave --events out or choose another --tokenizer"
    )
