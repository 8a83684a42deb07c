"""A map of items to SIDs that another system made: read, checked, and brought to the form of the pipeline."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from drq_spark.config import Config, Sids
from drq_spark.errors import ConfigError, InputRefused
from drq_spark.external import notes
from drq_spark.external.code_ends import code_ends
from drq_spark.external.codebook_sizes import sizes_of
from drq_spark.external.known_ids import KnownIds, identified, refuse_other_ids
from drq_spark.external.sid_files import WHAT
from drq_spark.external.sid_formats import open_sids
from drq_spark.inputs.fingerprint import content_hash, sums, sums_of_groups
from drq_spark.inputs.tables import damage_refused
from drq_spark.rows import one_row
from drq_spark.schemas import Reason
from drq_spark.staging import Staging
from drq_spark.tokenizer.keys import place_values

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
    spark: SparkSession,
    config: Config,
    known: KnownIds | None = None,
    books: tuple[int, ...] | None = None,
    staging: Staging | None = None,
) -> SidMap:
    """Read the map that `sids.path` names, after its ids were matched: thin rows only.

    L is `sids.levels`, else as many as codebooks or `sids.codes`, else the most frequent number of codes. One code more
    tells items with the same SID apart and is left out; rows of all other lengths are set aside. Of several rows with
    one id the one with the lowest codes stays.

    Args:
        spark: The session.
        config: The settings, of which the sections `sids` and `items` are read.
        known: The ids that a map may name; their own type and any of them without it.
        books: K per level of the codebooks; None where there are none.
        staging: Folder for a copy of ids and codes, from which everything is read then; None reads the map each time.

    Raises:
        ConfigError: no map is named, or sids.levels, sids.base or sids.codes do not fit it.
        InputRefused: it cannot be read, its codes cannot be SIDs, or too many rows cannot be used.
    """
    if config.sids.path is None:
        raise ConfigError("no SIDs: give --sids PATH_OR_TABLE or set sids.path")
    asked = _levels_asked(config.sids, books)
    opened = open_sids(spark, config.sids, config.sids.path, asked)
    source = identified(opened.rows, known, config.sids.id_shift)
    with damage_refused(config.sids.path, WHAT):
        source = source if staging is None else staging.keep(source, "sid_map")
        levels = _levels(source, config.sids, asked)
        if known is not None:
            refuse_other_ids(opened.rows, source, known, config)
        own = F.col("item_id").cast("string")
        rows = source.select(
            "item_id", "codes", _reason(levels).alias("reason"), F.xxhash64(own, "codes").alias("hash")
        )
        profile = _profile(rows)
        kept, quarantined = _one_row_per_id(rows, profile)
        bad_rows = _set_aside(quarantined, profile, levels, config)
        base = _base(config.sids, levels)
        sizes, more = sizes_of(code_ends(kept, levels), base, config.sids, books)
    first = F.array(*[F.lit(code) for code in base])
    codes = F.transform(F.slice("codes", 1, levels), lambda code, level: (code - F.get(first, level)).cast("int"))
    df = kept.select("item_id", codes.alias("codes"))
    id_type = df.schema["item_id"].dataType.simpleString()
    told = (*opened.notes, *bad_rows, *more)
    return SidMap(df, quarantined, id_type, sizes, profile.rows, profile.fingerprint, told)


def sid_key(codebook_sizes: tuple[int, ...]) -> Column:
    """Mixed-radix key (bigint) of a row with column codes, see `drq_spark.tokenizer.keys`."""
    places = enumerate(place_values(codebook_sizes).tolist())
    terms = [F.get("codes", F.lit(level)).cast("bigint") * F.lit(place) for level, place in places]
    return sum(terms[1:], terms[0])


def _levels_asked(settings: Sids, books: tuple[int, ...] | None) -> int | None:
    """L as the settings or the codebooks say; None where neither does."""
    listed = next((len(given) for given in (settings.codes, settings.base) if isinstance(given, tuple)), None)
    given = settings.levels or listed
    if books is not None and given is not None and given != len(books):
        raise ConfigError(f"sids.levels or sids.codes say {given} levels, but there are {len(books)} codebooks")
    return given or (len(books) if books else None)


def _levels(source: DataFrame, settings: Sids, asked: int | None) -> int:
    """L, after a look at the lengths that there are."""
    length = F.coalesce(F.size("codes"), F.lit(0)).alias("length")
    counts = source.groupBy(length).agg(F.count(F.lit(1)).alias("rows"), F.count("unreadable").alias("unreadable"))
    found = counts.orderBy(F.desc("unreadable"), F.desc("rows"), "length").limit(_MOST_LENGTHS).collect()
    if not found:
        raise InputRefused(f"{WHAT} {settings.path!r} has no rows")
    if found[0].unreadable:
        raise _unreadable(source, sum(row.unreadable for row in found))
    most = max(found, key=lambda row: (row.length > 0, row["rows"], -row.length)).length
    levels = int(asked or most)
    if not 1 <= levels <= _MOST_LEVELS:
        raise InputRefused(f"{WHAT}: {levels} codes an item; there must be 1 to {_MOST_LEVELS}")
    return levels


def _base(settings: Sids, levels: int) -> tuple[int, ...]:
    """The first code of every level."""
    if isinstance(settings.base, int):
        return (settings.base,) * levels
    if len(settings.base) != levels:
        raise ConfigError(f"sids.base lists {len(settings.base)} levels, the SIDs have {levels}")
    return settings.base


def _unreadable(source: DataFrame, rows: int) -> InputRefused:
    text = one_row(source.where("unreadable IS NOT NULL").orderBy("unreadable", "item_id").limit(1))
    return InputRefused(
        f"{WHAT}: {rows:,} rows hold something else than codes, such as {text.unreadable[:60]!r} of item "
        f"{text.item_id!r}; codes are integers, or tokens that end in one, such as <a_12>"
    )


def _reason(levels: int) -> Column:
    """Why a row has no usable SID; NULL where it has one."""
    some = F.coalesce(F.size("codes"), F.lit(0))
    return (
        F.when(~F.col("named"), Reason.NULL_ID.value)
        .when(F.col("item_id").isNull(), Reason.UNKNOWN_ITEM.value)
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
