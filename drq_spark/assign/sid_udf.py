"""The thin column form of assignment, for SQL and notebooks.

`drq run` uses mapInArrow, which moves rows with fewer copies and runs once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import SparkSession
from pyspark.sql.pandas.functions import pandas_udf
from pyspark.sql.pandas.types import from_arrow_type

from drq_spark.errors import ConfigError, InputRefused, SetupError
from drq_spark.inputs.cell_numbers import is_bytes
from drq_spark.inputs.embeddings import EMBEDDING_TYPES, read_embeddings, typed_cells
from drq_spark.inputs.number_proof import ROWS, no_float32, other_than_float32
from drq_spark.number_types import NumberType
from drq_spark.ship import Shipped, ship
from drq_spark.tokenizer import Tokenizer
from drq_spark.tokens import DEFAULT_TOKENS

Form = Literal["codes", "key", "tokens"]
_TYPES: dict[Form, str] = {"codes": "array<int>", "key": "bigint", "tokens": "string"}
_VECTOR = {"type": pa.int8(), "size": pa.int32(), "indices": pa.list_(pa.int32()), "values": pa.list_(pa.float64())}


def sid_udf(tokenizer: Tokenizer, form: Form = "codes", number_type: NumberType | None = None) -> Any:
    """A pandas UDF from an embedding column to the SID of each row.

    >>> sid = sid_udf(tokenizer, "tokens")  # doctest: +SKIP
    >>> items.select("item_id", sid("embedding").alias("sid"))  # doctest: +SKIP
    >>> spark.udf.register("sid", sid); spark.sql("SELECT sid(embedding) FROM items")  # doctest: +SKIP

    Args:
        tokenizer: As trained or loaded.
        form: "codes" gives array<int>, "key" bigint, "tokens" strings `<a_12><b_3><c_7>`.
        number_type: What a binary column holds, as `items.bytes` says it.

    It takes the columns that `drq run` takes; a row without a usable embedding gives NULL. A column of another type, or
    of bytes that are not of `number_type`, fails the query with an `InputRefused` from the worker.

    Raises:
        SetupError: there is no running Spark session.
        ConfigError: there is no such number type.
    """
    if number_type not in (None, *get_args(NumberType)):
        raise ConfigError(f"number_type is {number_type!r}; it must be one of {', '.join(get_args(NumberType))}")
    spark = SparkSession.getActiveSession()
    if spark is None:
        raise SetupError("sid_udf needs a running Spark session: make one first")
    shipped = ship(spark, replace(tokenizer))  # a copy without what the driver has cached
    sids = _series_function(shipped, form, number_type)
    return pandas_udf(sids, _TYPES[form])  # type: ignore[call-overload]  # the stubs ask for a kind, Spark for hints


def _series_function(
    shipped: Shipped[Tokenizer], form: Form, number_type: NumberType | None
) -> Callable[[Iterator[pd.Series]], Iterator[pd.Series]]:
    def sids(batches: Iterator[pd.Series]) -> Iterator[pd.Series]:
        tokenizer = shipped.value()
        proven = number_type is not None
        for embeddings in batches:
            column = embedding_array(embeddings)
            if is_bytes(column.type):
                if not proven and column.null_count < len(column):
                    _refuse_other_bytes(column, tokenizer.dim)
                    proven = True
                column = typed_cells(column, number_type or "float32")
            yield _spelled(column, tokenizer, form)

    return sids


def _refuse_other_bytes(cells: pa.Array, dim: int) -> None:
    """Refuse the first rows of a task whose bytes are no float32."""
    found = other_than_float32(cells.drop_null().slice(0, ROWS).to_pylist(), dim)
    if found is not None:
        says = no_float32(found, lambda kind: f"number_type={kind!r}")
        raise InputRefused(f"sid_udf: the embedding column is binary, and {says}")


def embedding_array(embeddings: pd.Series | pd.DataFrame) -> pa.Array:
    """The embedding column of a batch as pandas has it, for `read_embeddings`; an ml Vector comes as a DataFrame.

    Raises:
        InputRefused: it is of a type that embeddings cannot be of.
    """
    if isinstance(embeddings, pd.DataFrame):
        if tuple(embeddings.columns) != tuple(_VECTOR):
            raise _refused(f"struct<{', '.join(map(str, embeddings.columns))}>")
        return _dense(*(pa.array(embeddings[name], from_pandas=True).cast(kind) for name, kind in _VECTOR.items()))
    try:
        column = pa.array(embeddings, from_pandas=True)
    except pa.ArrowException:
        raise _refused(f"of {type(embeddings.dropna().iloc[0]).__name__}") from None
    if pa.types.is_null(column.type) or is_bytes(column.type):
        return column if is_bytes(column.type) else column.cast(pa.list_(pa.float32()))
    if not pa.types.is_list(column.type):
        raise _refused(_spark_name(column.type))
    numbers = column.type.value_type
    if pa.types.is_decimal(numbers):  # by way of text, which rounds as Spark rounds
        return column.cast(pa.list_(pa.string())).cast(pa.list_(pa.float32()))
    if not (pa.types.is_floating(numbers) or pa.types.is_null(numbers) or is_bytes(numbers)):
        raise _refused(_spark_name(column.type))
    return column.cast(pa.list_(pa.float32())) if pa.types.is_null(numbers) else column


def _spark_name(kind: pa.DataType) -> str:
    return from_arrow_type(kind).simpleString()


def _refused(kind: str) -> InputRefused:
    return InputRefused(f"sid_udf: the embedding column is {kind}; it must be {EMBEDDING_TYPES}")


def _dense(kind: pa.Array, size: pa.Array, indices: pa.Array, values: pa.Array) -> pa.Array:
    """Fields of ml Vectors [n], of which type 1 is dense and 0 sparse, as lists of all their numbers, float64."""
    null = np.asarray(kind.is_null())
    dense = np.asarray(pc.equal(kind, 1).fill_null(False))
    stored = np.asarray(pc.list_value_length(values).fill_null(0))
    length = np.where(dense, stored, np.asarray(size.fill_null(0)))
    first = np.concatenate([[0], np.cumsum(np.where(null, 0, length))]).astype(np.int64)
    numbers = np.zeros(first[-1])
    row = np.repeat(np.arange(len(kind)), stored)
    place = np.arange(len(row)) - np.repeat(np.cumsum(stored) - stored, stored)
    place[~dense[row]] = np.asarray(indices.flatten())
    numbers[first[row] + place] = np.asarray(values.flatten())
    return pa.LargeListArray.from_arrays(pa.array(first), pa.array(numbers), mask=pa.array(null))


def _spelled(column: pa.Array, tokenizer: Tokenizer, form: Form) -> pd.Series:
    found = read_embeddings(column, tokenizer.dim, tokenizer.normalize)
    codes = tokenizer.codes(found.x)
    spelled: Any = {
        "codes": lambda: list(codes),
        "key": lambda: tokenizer.keys(codes),
        "tokens": lambda: DEFAULT_TOKENS.texts(codes),
    }
    result = pd.Series([None] * len(column), dtype=object)
    result[np.flatnonzero(found.usable)] = pd.Series(spelled[form](), index=np.flatnonzero(found.usable), dtype=object)
    return result
