"""The items table under the names and types of the pipeline, and what is known of it before any Python sees a row.

Catalogue columns: item_id (the user's type), embedding (see `drq_spark.inputs.embedding_columns`), exposure (double,
NULL without an exposure column), embedding_hash (bigint).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from drq_spark.config import Config, Items
from drq_spark.errors import ConfigError, InputRefused
from drq_spark.inputs.attributes import check_attributes
from drq_spark.inputs.catalogue_profile import ITEMS, Profile, embedding_length, profile_of
from drq_spark.inputs.embedding_columns import embedding_column
from drq_spark.inputs.events import Events
from drq_spark.inputs.ids import id_column, matching_ids
from drq_spark.inputs.repeated_ids import VERSION, one_row_per_id, repeats_in_words, version_column
from drq_spark.inputs.tables import column, damage_refused, file_notes, read_table, require_columns


@dataclass(frozen=True)
class Catalogue:
    """The items to give SIDs to.

    Attributes:
        df: The catalogue columns, one row per id.
        quarantined: item_id and reason of the rows set aside so far.
        id_type: Spark SQL type of the ids.
        profile: What is known of the items table before any step.
        notes: What to know of the table before its figures are read.
        events: What users did with the items; None without events, and where they have not been read.
    """

    df: DataFrame
    quarantined: DataFrame
    id_type: str
    profile: Profile
    notes: tuple[str, ...] = ()
    events: Events | None = None


def read_catalogue(spark: SparkSession, config: Config) -> Catalogue:
    """Read, check and profile the items table; no Python worker sees a row, and Java few embeddings.

    Raises:
        InputRefused: a column is missing or of an unusable type, there are no rows, no embeddings, or bad exposures.
        ConfigError: no items were named.
    """
    if config.items.path is None:
        raise ConfigError("no items: give --items PATH_OR_TABLE or set items.path")
    source = read_table(spark, config.items.path, ITEMS)
    with damage_refused(config.items.path, ITEMS):
        catalogue = catalogue_of(source, config)
    notes = file_notes(spark, config.items.path, ITEMS, config.items.columns())
    return replace(catalogue, notes=(*notes, *catalogue.notes))


def catalogue_of(source: DataFrame, config: Config) -> Catalogue:
    """Check and profile items that are a DataFrame already.

    Raises:
        InputRefused, ConfigError: as `read_catalogue`.
    """
    require_columns(source, _named_columns(config.items), ITEMS)
    check_attributes(source, config.items)
    if config.sample.exposure_power > 0 and config.items.exposure is None:
        raise ConfigError("sample.exposure_power needs an exposure column: set items.exposure")
    df = canonical(source, config.items)
    profile = profile_of(df, config)
    kept, set_aside = one_row_per_id(df, embedding_length(df), duplicates=profile.repeated > 0)
    notes = repeats_in_words(profile.repeated, profile.undecided, config.items)
    return Catalogue(kept, set_aside, df.schema["item_id"].dataType.simpleString(), profile, tuple(notes))


def _named_columns(items: Items) -> list[tuple[str, str]]:
    """Every column that the settings name, with its setting; the one of names is needed by the report alone."""
    named = (("items.id", items.id), ("items.embedding", items.embedding), ("items.exposure", items.exposure),
             ("items.name", items.name), ("items.version", items.version))  # fmt: skip
    return [*((setting, name) for setting, name in named if name is not None),
            *(("items.attributes", name) for name in items.attributes)]  # fmt: skip


def canonical(source: DataFrame, items: Items, what: str = ITEMS, id_type: str | None = None) -> DataFrame:
    """Rename and cast the user's columns to the catalogue columns, and `version` where `items.version` names one.

    Args:
        source: The user's table.
        items: What its columns are called.
        what: What messages call the table.
        id_type: Spark SQL type that its ids are matched with; None for the items table itself.

    Raises:
        InputRefused: a column is missing or of an unusable type.
    """
    wanted = (("items.id", items.id), ("items.embedding", items.embedding), ("items.exposure", items.exposure))
    require_columns(source, [(setting, name) for setting, name in wanted if name is not None], what)
    setting = "items.id"
    item_id = (
        id_column(source, items.id, setting, what)
        if id_type is None
        else matching_ids(source, items.id, setting, what, id_type)
    )
    embedding = column(source, items.embedding, "items.embedding", what)
    exposure = F.lit(None) if items.exposure is None else column(source, items.exposure, "items.exposure", what)
    version = {} if items.version is None else {VERSION: version_column(source, items.version, what)}
    if items.exposure is not None and not isinstance(source.schema[items.exposure].dataType, T.NumericType):
        raise InputRefused(
            f"{what}: exposure column {items.exposure!r} is {_type_of(source, items.exposure)}; it must be a number"
        )
    vector = embedding_column(embedding, source, items, what).alias("embedding")
    chosen = source.select(
        item_id.alias("item_id"),
        vector,
        exposure.cast("double").alias("exposure"),
        *[value.alias(name) for name, value in version.items()],
    )
    if items.exposure is not None:
        chosen = chosen.withColumn("exposure", F.coalesce("exposure", F.lit(0.0)))
    return chosen.withColumn("embedding_hash", F.xxhash64("embedding"))


def _type_of(source: DataFrame, name: str) -> str:
    return source.schema[name].dataType.simpleString()
