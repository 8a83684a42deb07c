"""What a worker leaves is spelled once, as an Arrow schema; Spark's form of it is made from that."""

from __future__ import annotations

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import types as T
from pyspark.sql.pandas.types import from_arrow_schema, to_arrow_type


def spark_schema(schema: pa.Schema) -> T.StructType:
    """The schema that mapInArrow must be told of batches with this one."""
    return from_arrow_schema(schema)


def arrow_type(df: DataFrame, name: str) -> pa.DataType:
    """Arrow type of a column in the batches that a worker is given."""
    return to_arrow_type(df.schema[name].dataType)
