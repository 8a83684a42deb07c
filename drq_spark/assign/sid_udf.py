"""The thin column form of assignment, for SQL and notebooks.

`drq run` uses mapInArrow, which moves rows with fewer copies and runs once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from pyspark.sql import SparkSession
from pyspark.sql.pandas.functions import PandasUDFType, pandas_udf

from drq_spark.errors import SetupError
from drq_spark.inputs.embeddings import read_embeddings
from drq_spark.ship import Shipped, ship
from drq_spark.tokenizer import Tokenizer
from drq_spark.tokenizer.keys import codes_to_tokens

Form = Literal["codes", "key", "tokens"]
_TYPES: dict[Form, str] = {"codes": "array<int>", "key": "bigint", "tokens": "string"}


def sid_udf(tokenizer: Tokenizer, form: Form = "codes") -> Any:
    """A pandas UDF from an embedding column to the SID of each row.

    >>> sid = sid_udf(tokenizer, "tokens")  # doctest: +SKIP
    >>> items.select("item_id", sid("embedding").alias("sid"))  # doctest: +SKIP
    >>> spark.udf.register("sid", sid); spark.sql("SELECT sid(embedding) FROM items")  # doctest: +SKIP

    Args:
        tokenizer: As trained or loaded.
        form: "codes" gives array<int>, "key" bigint, "tokens" strings `<a_12><b_3><c_7>`.

    It takes array<float>, array<double> or little-endian float32 binary; a row without a usable embedding gives NULL.

    Raises:
        SetupError: there is no running Spark session.
    """
    spark = SparkSession.getActiveSession()
    if spark is None:
        raise SetupError("sid_udf needs a running Spark session: make one first")
    shipped = ship(spark, replace(tokenizer))  # a copy without what the driver has cached
    return pandas_udf(_series_function(shipped, form), _TYPES[form], PandasUDFType.SCALAR_ITER)


def _series_function(shipped: Shipped[Tokenizer], form: Form) -> Callable[[Iterator[pd.Series]], Iterator[pd.Series]]:
    def sids(batches: Iterator[pd.Series]) -> Iterator[pd.Series]:
        tokenizer = shipped.value()
        for embeddings in batches:
            yield _spelled(embeddings, tokenizer, form)

    return sids


def _spelled(embeddings: pd.Series, tokenizer: Tokenizer, form: Form) -> pd.Series:
    column = pa.array(embeddings, from_pandas=True)
    if pa.types.is_null(column.type):
        return pd.Series([None] * len(embeddings), dtype=object)
    found = read_embeddings(column, tokenizer.dim, tokenizer.normalize)
    codes = tokenizer.encode(found.x).codes
    spelled: Any = {
        "codes": lambda: list(codes),
        "key": lambda: tokenizer.keys(codes),
        "tokens": lambda: codes_to_tokens(codes),
    }
    result = pd.Series([None] * len(embeddings), dtype=object)
    result[np.flatnonzero(found.usable)] = pd.Series(spelled[form](), index=np.flatnonzero(found.usable), dtype=object)
    return result
