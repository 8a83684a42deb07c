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
from drq_spark.inputs.event_account import EventAccount, why_no_pair
from drq_spark.inputs.events import Events
from drq_spark.inputs.items import Catalogue
from drq_spark.rows import one_row
from drq_spark.sample.candidate_rows import CandidateRows, look_at
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


@dataclass(frozen=True)
class PairSearch:
    """All pairs of consecutive items of the catalogue, and how many are wanted.

    Attributes:
        pairs: item_id, next_item_id, pair_key, held_out.
        totals: How many pairs there are to train (False) and held out (True); a kind without any is left out.
        bounds: How many of either kind may be drawn.
        size: How many items may be in them.
        ids: How many items there are.
    """

    pairs: DataFrame
    totals: Mapping[bool, int]
    bounds: Mapping[bool, int]
    size: int
    ids: int


@dataclass(frozen=True)
class NearPairs:
    """All pairs below some key, whether their items are usable or not: no embedding has been read.

    Attributes:
        search: What they are of.
        spare: How many times as many as wanted they are, at most.
        pairs: Columns as in `PairSearch`.
        whole: Whether there are no more.
    """

    search: PairSearch
    spare: float
    pairs: DataFrame
    whole: bool

    def items(self) -> DataFrame:
        """The items in them: item_id, each once."""
        return _first_keys(self.pairs).select("item_id")


def near_pairs(catalogue: Catalogue, events: Events, config: Config) -> NearPairs:
    """What pairs are drawn from where few items are bad; only thin rows are read."""
    pairs = events.pairs().drop("user_key")
    bounds = {False: config.events.max_pairs, True: int(config.events.max_pairs * config.events.holdout)}
    return _candidates(PairSearch(pairs, _count(pairs), bounds, config.sample.size, catalogue.profile.ids), _SPARE)


def draw_behaviour(
    near: NearPairs, seen: CandidateRows, catalogue: Catalogue, events: Events, config: Config, staging: Staging
) -> BehaviourDraw:
    """Draw the pairs and their items; every shuffle is on ids and keys, embeddings are read for candidates only.

    Args:
        near: The pairs to draw from first; where too few have usable items, more are looked at.
        seen: Their items, and any others.
        catalogue: The items.
        events: The events of the run.
        config: Settings of the run.
        staging: Folder for thin rows and candidates.

    Raises:
        InputRefused: no pair is left to train on.
    """
    search = near.search
    while True:
        items = _usable(seen, config)
        known = staging.keep(between(near.pairs, items), "usable_pairs")
        found = _count(known)
        drawn = _bounded(known, found, search.bounds)
        limit = _first_beyond(_first_keys(drawn), search.size, search.ids)
        full = all(found.get(kind, 0) >= search.bounds[kind] for kind in search.totals)
        if near.whole or limit is not None or full:
            break
        near = _candidates(search, near.spare * _MORE)
        if not seen.whole:
            seen = look_at(catalogue, config, staging, "pair_items", items=near.items())
    _check_enough(found, events.account, config)
    kept = drawn if limit is None else drawn.where(F.col("pair_key") < limit)
    touched = F.broadcast(_first_keys(kept).select("item_id"))
    return BehaviourDraw(items.join(touched, "item_id", "left_semi"), kept)


def _count(pairs: DataFrame) -> dict[bool, int]:
    """Pairs to train (False) and held-out ones (True), where there are any."""
    return {row.held_out: row["count"] for row in pairs.groupBy("held_out").count().collect()}


def _candidates(search: PairSearch, spare: float) -> NearPairs:
    """All pairs below some key, `spare` times as many as the bounds and the size want."""
    share = max((spare * search.bounds[kind] / total for kind, total in search.totals.items()), default=1.0)
    near = search.pairs if share >= 1 else search.pairs.where(F.col("pair_key") < int(share * _KEYS))
    limit = _first_beyond(_first_keys(near), int(spare * search.size), search.ids)
    if limit is None:
        return NearPairs(search, spare, near, share >= 1)
    return NearPairs(search, spare, near.where(F.col("pair_key") < limit), False)


def _usable(seen: CandidateRows, config: Config) -> DataFrame:
    """Items with a usable embedding, by the check that the sample has: item_id, split_key, embedding."""
    key = item_key("split", config.seed).alias("split_key")
    return seen.rows.where("reason IS NULL").select("item_id", key, "embedding")


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
