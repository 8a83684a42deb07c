"""What types of columns have in common, worked by hand."""

from __future__ import annotations

import pyarrow as pa
import pytest

from drq_spark.inputs.parquet_types import Form, from_arrow, wider

F32, F64 = pa.float32(), pa.float64()


def column(kind: pa.DataType):
    return from_arrow("x", kind)


def common(one: pa.DataType, other: pa.DataType) -> str | None:
    """The Spark type of both, whichever comes first."""
    found = [wider(column(first), column(second)) for first, second in ((one, other), (other, one))]
    told = {None if wide is None or wide.type is None else wide.type.simpleString() for wide in found}
    [only] = told
    return only


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        (pa.int32(), pa.int64(), "bigint"),
        (pa.int8(), pa.int16(), "smallint"),
        (pa.uint8(), pa.int8(), "smallint"),
        (pa.uint16(), pa.uint32(), "bigint"),
        (F32, F64, "double"),
        (pa.int32(), F32, "double"),
        (pa.int64(), pa.uint64(), "decimal(20,0)"),
        (pa.decimal128(10, 2), pa.decimal128(8, 4), "decimal(12,4)"),
        (pa.int64(), pa.decimal128(38, 0), "decimal(38,0)"),
        (pa.list_(F32), pa.list_(F64), "array<double>"),
        (pa.list_(F32), pa.list_(F32, 4), "array<float>"),
        (pa.large_list(F64), pa.list_(F64), "array<double>"),
        (pa.string(), pa.large_string(), "string"),
        (pa.string(), pa.dictionary(pa.int32(), pa.string()), "string"),
        (pa.binary(), pa.binary(16), "binary"),
        (pa.date32(), pa.timestamp("us"), "timestamp_ntz"),
        (pa.timestamp("ms"), pa.timestamp("us"), "timestamp_ntz"),
        (pa.timestamp("us", "UTC"), pa.timestamp("ms", "Asia/Tokyo"), "timestamp"),
        (pa.null(), F32, "float"),
        (pa.null(), pa.int64(), "bigint"),
        (pa.null(), pa.null(), "int"),
        (pa.uuid(), pa.uuid(), "binary"),
        (pa.list_(pa.float16()), pa.list_(pa.float16(), 4), "array<binary>"),
        (pa.struct([("a", pa.int32())]), pa.struct([("a", pa.int32())]), "struct<a:int>"),
        (pa.map_(pa.string(), F32), pa.map_(pa.string(), F32), "map<string,float>"),
    ],
    ids=str,
)
def test_widened_where_nothing_is_lost(one, other, both):
    assert common(one, other) == both


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (pa.string(), pa.int64()),
        (pa.int64(), F64),  # 2^53 + 1 is no double
        (pa.uint64(), pa.decimal128(38, 0)),  # Spark reads uint64 as decimal(20,0) alone
        (pa.decimal128(38, 0), pa.decimal128(38, 10)),
        (pa.list_(F32), pa.binary()),
        (pa.list_(F32), F32),
        (pa.string(), pa.binary()),
        (pa.date32(), pa.timestamp("us", "UTC")),
        (pa.timestamp("us"), pa.timestamp("us", "UTC")),
        (pa.timestamp("us"), pa.timestamp("ns")),
        (pa.timestamp("ns"), pa.int64()),
        (pa.duration("ns"), pa.duration("us")),
        (pa.uuid(), pa.string()),
        (pa.uuid(), pa.binary(16)),
        (pa.list_(pa.float16()), pa.list_(F32)),
        (pa.null(), pa.string()),
        (pa.bool_(), pa.int32()),
        (pa.decimal256(50, 0), pa.decimal256(50, 0)),
    ],
    ids=str,
)
def test_no_type_where_something_would_be_lost(one, other):
    assert common(one, other) is None


@pytest.mark.parametrize(
    ("kind", "parquet", "said", "form"),
    [
        (pa.timestamp("ns"), ("INT64", "TIMESTAMP"), "timestamp in nanoseconds", Form.COUNT),
        (pa.timestamp("ns"), ("INT96", "NONE"), "timestamp", Form.PLAIN),
        (pa.binary(16), ("FIXED_LEN_BYTE_ARRAY", "UUID"), "uuid", Form.UUID),  # of writers other than Arrow
        (pa.binary(16), ("FIXED_LEN_BYTE_ARRAY", "NONE"), "binary", Form.PLAIN),
        (pa.float16(), ("FIXED_LEN_BYTE_ARRAY", "FLOAT16"), "half float", Form.HALF),
        (pa.uint64(), ("INT64", "INT"), "uint64", Form.PLAIN),
        (pa.null(), ("INT32", "UNKNOWN"), "null (no type)", Form.NULL),
        (pa.time64("ns"), ("INT64", "TIME"), "time64[ns]", Form.COUNT),
    ],
)
def test_what_people_call_it(kind, parquet, said, form):
    found = from_arrow("x", kind, *parquet)
    assert (found.said, found.form) == (said, form)
