"""What has changed in the catalogue since the run that readers follow: thin rows only, no embedding reaches Python."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from drq_spark.config import Config
from drq_spark.errors import InputRefused
from drq_spark.sids_of_run import FEW_IDS
from drq_spark.staging import Staging


@dataclass(frozen=True)
class Differences:
    """Items that do not stay as they are.

    Attributes:
        rows: item_id, known (it has a SID), here (it is in the catalogue), same (with the embedding that the SID is
            of), of all items but those that are known, here and the same and were so before.
        known: Items with a SID.
        to_encode: Items that are new or have another embedding.
        changed: Those of them that are known.
        gone: Known items that are not in the catalogue and were there the night before.
        back: Items that were gone, and are there again as they were.
        still_gone: Nights since it left -> items that had left before.
    """

    rows: DataFrame
    known: int
    to_encode: int
    changed: int
    gone: int
    back: int = 0
    still_gone: Mapping[int, int] = field(default_factory=dict)


def differences(items: DataFrame, base: DataFrame, staging: Staging) -> Differences:
    """Compare the catalogue with what readers follow, by id and by hash of the embedding.

    Args:
        items: Catalogue columns, see `inputs.items`; ids and hashes are all that is shuffled.
        base: Rows of `schemas.CURRENT_SIDS`.
        staging: Folder for the rows.
    """
    return counted(staging.keep(compared(items, base), "differences"), base)


def compared(items: DataFrame, base: DataFrame) -> DataFrame:
    """`Differences.rows`, with gone_nights; arguments as for `differences`."""
    now = items.select("item_id", F.col("embedding_hash").alias("hash"), F.lit(True).alias("here"))
    before = base.select(
        "item_id", F.col("embedding_hash").alias("old_hash"), "gone_nights", F.lit(True).alias("known")
    )
    both = now.join(before, "item_id", "full").select(
        "item_id",
        F.coalesce("known", F.lit(False)).alias("known"),
        F.coalesce("here", F.lit(False)).alias("here"),
        F.coalesce(F.col("hash") == F.col("old_hash"), F.lit(False)).alias("same"),
        F.coalesce("gone_nights", F.lit(0)).alias("gone_nights"),
    )
    return both.where("NOT (known AND here AND same AND gone_nights = 0)")


def counted(rows: DataFrame, base: DataFrame) -> Differences:
    """Rows of `compared`, counted."""
    fates = rows.groupBy("known", "here", "same", "gone_nights").count().collect()

    def items(*, known: bool | None = None, here: bool, same: bool = False, stayed: bool | None = None) -> int:
        return sum(
            row["count"]
            for row in fates
            if (row.here, row.same) == (here, same)
            and known in (None, row.known)
            and stayed in (None, row.gone_nights == 0)
        )

    return Differences(
        rows,
        known=base.where("gone_nights = 0").count(),
        to_encode=items(here=True),
        changed=items(known=True, here=True),
        gone=items(here=False, stayed=True),
        back=items(here=True, same=True),
        still_gone={row.gone_nights: row["count"] for row in fates if not row.here and row.gone_nights},
    )


def refuse_upheaval(found: Differences, config: Config) -> None:
    """Refuse a night in which nearly everything changes: it is more likely a fault than a day's work.

    Raises:
        InputRefused: more of the known items have another embedding, or are gone, than a night may bring.
    """
    allowed = config.nightly
    if found.changed > allowed.max_changed * found.known:
        raise InputRefused(
            f"{found.changed:,} of {found.known:,} known items have another embedding: if the embedding model has "
            "changed, drq nightly --retrain trains a tokenizer for it; else raise nightly.max_changed"
        )
    if found.gone > allowed.max_gone * found.known:
        raise InputRefused(
            f"{found.gone:,} of {found.known:,} known items are not in the items table: if it is whole, raise "
            "nightly.max_gone"
        )


def to_encode(items: DataFrame, found: Differences) -> DataFrame:
    """The catalogue rows of items that are new or have another embedding."""
    wanted = found.rows.where("here AND NOT same").select("item_id")
    return items.join(F.broadcast(wanted) if found.to_encode <= FEW_IDS else wanted, "item_id", "left_semi")
