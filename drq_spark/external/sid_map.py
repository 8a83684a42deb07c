"""A map of items to SIDs that another system made: read, checked, and brought to the form of the pipeline."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from drq_spark.config import Config, Sids
from drq_spark.errors import ConfigError, InputRefused
from drq_spark.external import notes
from drq_spark.external.sid_formats import WHAT, open_sids
from drq_spark.inputs.fingerprint import content_hash, sums, sums_of_groups
from drq_spark.inputs.tables import damage_refused
from drq_spark.rows import one_row
from drq_spark.schemas import Reason
from drq_spark.tokenizer.keys import MAX_KEYS, place_values

MOST_CODES = 2**20  # of a level: the driver holds how often each is used
_MOST_LEVELS = 26  # letters
_MOST_LENGTHS = 100


@dataclass(frozen=True)
class SidMap:
    """SIDs of another system, checked.

    Attributes:
        df: item_id, codes (array<int>, 0-based, one per level), one row per item.
        quarantined: item_id, reason of every other row.
        id_type: Spark SQL type of the ids.
        codebook_sizes: K per level.
        rows: How many rows there are, the unusable ones included.
        fingerprint: Hash of ids and codes, whatever their order and form.
        notes: What to know of the map before its figures are read.
    """

    df: DataFrame
    quarantined: DataFrame
    id_type: str
    codebook_sizes: tuple[int, ...]
    rows: int
    fingerprint: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Profile:
    """What one pass over the map tells.

    Attributes:
        rows: All rows.
        ids: Different ids with a usable SID.
        repeated: Ids with several usable SIDs.
        fingerprint: Hash of ids and codes.
    """

    rows: int
    ids: int
    repeated: int
    fingerprint: str


def read_sids(
    spark: SparkSession, config: Config, id_type: str | None = None, books: tuple[int, ...] | None = None
) -> SidMap:
    """Read the map that `sids.path` names: thin rows only, no Python workers.

    L is `sids.levels`, else as many as codebooks or `sids.codes`, else the most frequent number of codes. One code more
    tells items with the same SID apart and is left out; rows of all other lengths are set aside. Of several rows with
    one id the one with the lowest codes stays.

    Args:
        spark: The session.
        config: The settings, of which the sections `sids` and `items` are read.
        id_type: Spark SQL type that ids are to have; their own without it.
        books: K per level of the codebooks; None where there are none.

    Raises:
        ConfigError: no map is named, or sids.levels or sids.codes do not fit it.
        InputRefused: it cannot be read, its codes cannot be SIDs, or too many rows cannot be used.
    """
    if config.sids.path is None:
        raise ConfigError("no SIDs: give --sids PATH_OR_TABLE or set sids.path")
    source = open_sids(spark, config.sids, config.sids.path)
    known = id_type or source.schema["item_id"].dataType.simpleString()
    with damage_refused(config.sids.path, WHAT):
        levels = _levels(source, config.sids, books)
        rows = source.select(
            F.col("item_id").try_cast(known).alias("item_id"),
            "codes",
            _reason(known, levels).alias("reason"),
            F.xxhash64(F.col("item_id").cast("string"), "codes").alias("hash"),
        )
        profile = _profile(rows)
        kept, quarantined = _one_row_per_id(rows, profile)
        bad_rows = _set_aside(quarantined, profile, levels, config)
        sizes, more = _codebook_sizes(kept, levels, config.sids, books)
    codes = F.transform(F.slice("codes", 1, levels), lambda code: (code - config.sids.base).cast("int"))
    df = kept.select("item_id", codes.alias("codes"))
    return SidMap(df, quarantined, known, sizes, profile.rows, profile.fingerprint, (*bad_rows, *more))


def sid_key(codebook_sizes: tuple[int, ...]) -> Column:
    """Mixed-radix key (bigint) of a row with column codes, see `drq_spark.tokenizer.keys`."""
    places = enumerate(place_values(codebook_sizes).tolist())
    terms = [F.get("codes", F.lit(level)).cast("bigint") * F.lit(place) for level, place in places]
    return sum(terms[1:], terms[0])


def _levels(source: DataFrame, settings: Sids, books: tuple[int, ...] | None) -> int:
    """L, after a look at the lengths that there are."""
    length = F.coalesce(F.size("codes"), F.lit(0)).alias("length")
    counts = source.groupBy(length).agg(F.count(F.lit(1)).alias("rows"), F.count("unreadable").alias("unreadable"))
    found = counts.orderBy(F.desc("unreadable"), F.desc("rows"), "length").limit(_MOST_LENGTHS).collect()
    if not found:
        raise InputRefused(f"{WHAT} {settings.path!r} has no rows")
    if found[0].unreadable:
        raise _unreadable(source, sum(row.unreadable for row in found))
    listed = None if settings.codes is None or isinstance(settings.codes, int) else len(settings.codes)
    given = settings.levels or listed
    if books is not None and given is not None and given != len(books):
        raise ConfigError(f"sids.levels or sids.codes say {given} levels, but there are {len(books)} codebooks")
    most = max(found, key=lambda row: (row.length > 0, row["rows"], -row.length)).length
    levels = int(given or (len(books) if books else most))
    if not 1 <= levels <= _MOST_LEVELS:
        raise InputRefused(f"{WHAT}: {levels} codes an item; there must be 1 to {_MOST_LEVELS}")
    return levels


def _unreadable(source: DataFrame, rows: int) -> InputRefused:
    text = one_row(source.where("unreadable IS NOT NULL").orderBy("unreadable", "item_id").limit(1))
    return InputRefused(
        f"{WHAT}: {rows:,} rows hold something else than codes, such as {text.unreadable[:60]!r} of item "
        f"{text.item_id!r}; codes are integers, or tokens that end in one, such as <a_12>"
    )


def _reason(id_type: str, levels: int) -> Column:
    """Why a row has no usable SID; NULL where it has one."""
    some = F.coalesce(F.size("codes"), F.lit(0))
    return (
        F.when(F.col("item_id").isNull(), Reason.NULL_ID.value)
        .when(F.col("item_id").try_cast(id_type).isNull(), Reason.UNKNOWN_ITEM.value)
        .when((some == 0) | F.exists("codes", lambda code: code.isNull()), Reason.NULL_CODES.value)
        .when(~some.isin(levels, levels + 1), Reason.WRONG_LENGTH.value)
    )


def _profile(rows: DataFrame) -> _Profile:
    per_id = rows.groupBy("item_id").agg(
        *sums(F.col("hash")),
        F.count_if(F.col("reason").isNull()).alias("usable"),
    )
    totals = per_id.agg(
        *sums_of_groups(),
        F.count_if(F.col("usable") > 0).alias("ids"),
        F.count_if(F.col("usable") > 1).alias("repeated"),
    )
    row = one_row(totals)
    return _Profile(row["rows"], row.ids, row.repeated, content_hash([row]))


def _one_row_per_id(rows: DataFrame, profile: _Profile) -> tuple[DataFrame, DataFrame]:
    """item_id, codes of the rows to use, and item_id, reason of the others."""
    usable, other = rows.where("reason IS NULL"), rows.where("reason IS NOT NULL").select("item_id", "reason")
    if not profile.repeated:
        return usable.select("item_id", "codes"), other
    rank = F.row_number().over(Window.partitionBy("item_id").orderBy("codes"))
    ranked = usable.withColumn("rank", rank)
    repeats = ranked.where("rank > 1").select("item_id", F.lit(Reason.DUPLICATE_ID.value).alias("reason"))
    return ranked.where("rank = 1").select("item_id", "codes"), other.unionByName(repeats)


def _set_aside(quarantined: DataFrame, profile: _Profile, levels: int, config: Config) -> tuple[str, ...]:
    """What to say of the rows that are not used."""
    bad = profile.rows - profile.ids
    if not bad:
        return ()
    counts = quarantined.groupBy("reason").count().orderBy("reason").collect()
    reasons = ", ".join(f"{row['count']:,} {row.reason}" for row in counts)
    if not profile.ids or bad > config.items.max_bad_share * profile.rows:
        raise InputRefused(
            f"{WHAT}: {bad:,} of {profile.rows:,} rows cannot be used as SIDs of {levels} codes ({reasons}), more than "
            f"items.max_bad_share = {config.items.max_bad_share:g}; are sids.id, sids.column and sids.levels right?"
        )
    return (notes.rows_set_aside(bad, profile.rows, levels, reasons),)


def _codebook_sizes(
    kept: DataFrame, levels: int, settings: Sids, books: tuple[int, ...] | None
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """K per level, after a look at the codes that there are, and what to say of them."""
    codes = [F.get("codes", F.lit(level)) for level in range(levels)]
    ends = [end for code in codes for end in (F.min(code), F.max(code))]
    found = one_row(kept.agg(F.count_if(F.size("codes") > levels), *ends))
    longer, lowest, largest = int(found[0]), list(found[1::2]), [int(code) - settings.base for code in found[2::2]]
    _refuse_codes(lowest, largest, settings.base)
    sizes = _asked(largest, settings, books) or tuple(max(2, code + 1) for code in largest)
    if prod(sizes) >= MAX_KEYS:
        raise InputRefused(
            f"{WHAT}: {list(sizes)} codes a level make {prod(sizes):.3g} SIDs, but the sid key holds fewer than "
            f"2^63 = {MAX_KEYS:.3g}"
        )
    told = []
    if longer:
        told.append(notes.longer_codes(longer, levels))
    if settings.base == 0 and min(lowest) == max(lowest) == 1:
        told.append(notes.codes_count_from_1())
    if settings.codes is None and books is None:
        told.append(notes.sizes_guessed(sizes))
    return sizes, tuple(told)


def _refuse_codes(lowest: list[int], largest: list[int], base: int) -> None:
    if min(lowest) < base:
        at = lowest.index(min(lowest))
        raise InputRefused(f"{WHAT}: code {lowest[at]} at level {at + 1}; codes count from {base} (sids.base)")
    if max(largest) >= MOST_CODES:
        at = largest.index(max(largest))
        raise InputRefused(f"{WHAT}: code {largest[at]} at level {at + 1} is beyond {MOST_CODES:,} codes a level")


def _asked(largest: list[int], settings: Sids, books: tuple[int, ...] | None) -> tuple[int, ...] | None:
    """K per level as the settings or the codebooks say; None where neither does."""
    if settings.codes is None:
        asked = books
    else:
        asked = (settings.codes,) * len(largest) if isinstance(settings.codes, int) else settings.codes
        if books not in (None, asked):
            raise ConfigError(f"sids.codes is {list(asked)}, but the codebooks have {list(books or ())} rows")
    for level, (code, size) in enumerate(zip(largest, asked or (), strict=asked is not None), start=1):
        if code >= size:
            where = f"{WHAT}: code {code} (from 0) at level {level}"
            if books is None:
                raise ConfigError(f"{where}, but sids.codes gives it {size}")
            raise InputRefused(f"{where}, but its codebook has {size} rows")
    return asked
