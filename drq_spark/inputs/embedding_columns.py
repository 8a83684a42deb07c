"""The kinds of embedding columns that users have, as Spark expressions.

In the catalogue an embedding is array<float>; array<binary>, which is how Spark hands on the half floats of Parquet;
binary, which holds float32; or a struct with one binary field, whose name is the type of the numbers in it. The type
travels with the column that way, and `drq_spark.inputs.embeddings` reads all of them.
"""

from __future__ import annotations

import shlex

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from drq_spark.config import Items
from drq_spark.errors import InputRefused
from drq_spark.inputs.embeddings import EMBEDDING_TYPES
from drq_spark.inputs.number_proof import ROWS, no_float32, other_than_float32
from drq_spark.number_types import NPY_SHAPE, NumberType, width

_NPY_HEADER = 256  # bytes: numpy pads a header to 128


def embedding_column(embedding: Column, source: DataFrame, items: Items, what: str) -> Column:
    """The embedding column that the user has in `source` as one of the catalogue; `what` names the table in messages.

    Raises:
        InputRefused: it is of an unusable type.
    """
    name = items.embedding
    kind = source.schema[name].dataType
    if isinstance(kind, T.BinaryType):
        return embedding if items.bytes in (None, "float32") else _typed(embedding, str(items.bytes))
    if isinstance(kind, T.ArrayType) and isinstance(kind.elementType, T.FractionalType):
        return embedding.cast("array<float>")
    if isinstance(kind, T.ArrayType) and isinstance(kind.elementType, T.BinaryType):
        return embedding
    if isinstance(kind, T.UserDefinedType) and kind.simpleString() == "vector":
        from pyspark.ml.functions import vector_to_array  # not there on every platform, and not needed for other types

        return F.when(embedding.isNotNull(), vector_to_array(embedding, "float32"))
    raise InputRefused(f"{what}: embedding column {name!r} is {kind.simpleString()}; it must be {EMBEDDING_TYPES}")


def _typed(embedding: Column, kind: str) -> Column:
    return F.when(embedding.isNotNull(), F.struct(embedding.alias(kind)))


def number_count(df: DataFrame) -> Column:
    """Numbers in the embedding of a catalogue row, rounded down where its bytes hold no whole number of them."""
    kind = df.schema["embedding"].dataType
    if isinstance(kind, T.BinaryType):
        return _in_bytes(F.col("embedding"), "float32")
    if isinstance(kind, T.StructType):
        (typed,) = kind.names
        return _in_bytes(F.col("embedding").getField(typed), typed)  # type: ignore[arg-type]
    return F.size("embedding")


def _in_bytes(cells: Column, kind: NumberType) -> Column:
    if kind != "npy":
        return (F.octet_length(cells) / width(kind)).cast("int")
    header = F.decode(F.substring(cells, 1, _NPY_HEADER), "ISO-8859-1")
    return F.regexp_extract(header, NPY_SHAPE, 1).try_cast("int")


def may_be_other_bytes(df: DataFrame, items: Items) -> bool:
    """Whether the embeddings of a catalogue are bytes of which no setting says what they are."""
    return items.bytes is None and isinstance(df.schema["embedding"].dataType, T.BinaryType)


def refuse_other_bytes(df: DataFrame, items: Items, what: str) -> None:
    """Refuse rows of a catalogue whose bytes are no float32; looks at a few of them.

    Raises:
        InputRefused: they are of another type; the message names the likely one.
    """
    told = df.select("embedding").where(F.hex("embedding").rlike("[1-9A-F]"))  # a row of zeros tells nothing
    found = other_than_float32([bytes(row.embedding) for row in told.limit(ROWS).collect()], items.dim)
    if found is not None:
        says = no_float32(found, lambda kind: shlex.quote(f"items.bytes={kind}"))
        raise InputRefused(f"{what}: embedding column {items.embedding!r} is binary, and {says}")
