"""How a Parquet file holds a column, as which Spark type it is asked for, and what types have in common.

Spark refuses to describe some kinds of columns (nanosecond timestamps, UUIDs, half floats), but reads all of them by a
schema that asks for what lies in the file: numbers or bytes, which `decoded` makes values of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import pyarrow as pa
from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql import types as T

_UINT64 = T.DecimalType(20, 0)
_ALIKE = (
    (pa.types.is_boolean, T.BooleanType()),
    (pa.types.is_int8, T.ByteType()),
    (lambda kind: pa.types.is_int16(kind) or pa.types.is_uint8(kind), T.ShortType()),
    (lambda kind: pa.types.is_int32(kind) or pa.types.is_uint16(kind) or pa.types.is_null(kind), T.IntegerType()),
    (lambda kind: pa.types.is_int64(kind) or pa.types.is_uint32(kind), T.LongType()),
    (pa.types.is_uint64, _UINT64),
    (pa.types.is_float32, T.FloatType()),
    (pa.types.is_float64, T.DoubleType()),
    (pa.types.is_date, T.DateType()),
    (lambda kind: str(kind) in ("string", "large_string", "string_view", "extension<arrow.json>"), T.StringType()),
    (lambda kind: "binary" in str(kind) and not isinstance(kind, pa.BaseExtensionType), T.BinaryType()),
)
_INTEGERS = (T.ByteType(), T.ShortType(), T.IntegerType(), T.LongType())
# digits of the decimals that Spark reads integers as
_DIGITS: dict[T.DataType, int] = {T.ByteType(): 10, T.ShortType(): 10, T.IntegerType(): 10, T.LongType(): 20}
_MOST_DIGITS = 38


class Form(Enum):
    """What the Spark type does not tell of the values of a column."""

    PLAIN = "the values"
    NULL = "no values: a column of nothing but NULL, written without a type"
    UUID = "16 bytes of a UUID"
    HALF = "2 little-endian bytes of a half float, alone or in a list"
    COUNT = "an integer that counts a unit of time"


@dataclass(frozen=True)
class FileColumn:
    """How a file holds a column.

    Attributes:
        name: As it is spelled in the file.
        said: Its type as people call it.
        type: The Spark type that it is asked for with; None where Spark has none.
        form: What the values are that come then.
    """

    name: str
    said: str
    type: T.DataType | None
    form: Form = Form.PLAIN

    def with_type(self, kind: T.DataType) -> FileColumn:
        """The same column asked for with another type."""
        return self if kind == self.type else FileColumn(self.name, kind.simpleString(), kind, self.form)


def from_arrow(name: str, kind: pa.DataType, physical: str | None = None, logical: str | None = None) -> FileColumn:
    """The column of an Arrow type; `physical` and `logical` are Parquet's own types of a column that is no group."""
    if isinstance(kind, pa.DictionaryType):
        return from_arrow(name, kind.value_type, physical, logical)
    if logical == "UUID" or str(kind) == "extension<arrow.uuid>":
        return FileColumn(name, "uuid", T.BinaryType(), Form.UUID)
    if pa.types.is_float16(kind):
        return FileColumn(name, "half float", T.BinaryType(), Form.HALF)
    if isinstance(kind, pa.TimestampType):
        return _timestamp(name, kind, is_int96=physical == "INT96")
    if pa.types.is_time(kind) or pa.types.is_duration(kind):
        counts = T.IntegerType() if pa.types.is_time32(kind) else T.LongType()
        return FileColumn(name, str(kind), counts, Form.COUNT)
    if _is_list(kind) and pa.types.is_float16(kind.value_type):
        return FileColumn(name, "array<half float>", T.ArrayType(T.BinaryType()), Form.HALF)
    if pa.types.is_null(kind):
        return FileColumn(name, "null (no type)", _plain(kind), Form.NULL)
    found = _plain(kind)
    said = str(kind) if found is None or pa.types.is_uint64(kind) else found.simpleString()
    return FileColumn(name, said, found)


def from_spark(field: T.StructField) -> FileColumn:
    """The column of a file that Spark wrote, by the schema that it left in it."""
    return FileColumn(field.name, field.dataType.simpleString(), field.dataType)


def _timestamp(name: str, kind: pa.TimestampType, *, is_int96: bool) -> FileColumn:
    if kind.unit == "ns" and not is_int96:
        return FileColumn(name, "timestamp in nanoseconds", T.LongType(), Form.COUNT)
    moment = T.TimestampType() if is_int96 or kind.tz is not None else T.TimestampNTZType()
    return FileColumn(name, moment.simpleString(), moment)


def _plain(kind: pa.DataType) -> T.DataType | None:
    """The Spark type that an Arrow type is read as; None where there is none."""
    if isinstance(kind, pa.ExtensionType):
        return _plain(kind.storage_type)
    for is_kind, found in _ALIKE:
        if is_kind(kind):
            return found
    if pa.types.is_decimal(kind):
        return T.DecimalType(kind.precision, kind.scale) if kind.precision <= _MOST_DIGITS else None
    if _is_list(kind):
        element = from_arrow("", kind.value_type).type
        return None if element is None else T.ArrayType(element)
    if isinstance(kind, pa.MapType):
        key, value = (from_arrow("", part).type for part in (kind.key_type, kind.item_type))
        return None if key is None or value is None else T.MapType(key, value)
    if isinstance(kind, pa.StructType):
        fields = [(field.name, from_arrow("", field.type).type) for field in kind]
        known = [T.StructField(name, part) for name, part in fields if part is not None]
        return T.StructType(known) if len(known) == len(fields) else None
    return None


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def wider(one: FileColumn, other: FileColumn) -> FileColumn | None:
    """The column that holds the values of both without loss, and that Spark reads both files as; None without one.

    A column that has no type in a file of nothing but NULL is read as the numbers of the other files.
    """
    if Form.NULL in (one.form, other.form):
        typed = other if one.form is Form.NULL else one
        return typed if typed.form is Form.NULL or isinstance(typed.type, T.NumericType) else None
    if one.form is not other.form or one.type is None or other.type is None:
        return None
    if one.form is Form.COUNT and one.said != other.said:
        return None  # nanoseconds are no microseconds
    kind = wider_type(one.type, other.type)
    if kind is None or ("uint64" in (one.said, other.said) and kind != _UINT64):  # Spark reads it as no other type
        return None
    return one.with_type(kind)


def wider_type(one: T.DataType, other: T.DataType) -> T.DataType | None:
    """The Spark type that Spark reads columns of both types as, without loss; None without one."""
    if one == other:
        return one
    if isinstance(one, T.ArrayType) and isinstance(other, T.ArrayType):
        element = wider_type(one.elementType, other.elementType)
        return None if element is None else T.ArrayType(element)
    if isinstance(one, T.DecimalType) or isinstance(other, T.DecimalType):
        return _wider_decimal(one, other)
    if one in _INTEGERS and other in _INTEGERS:
        return max(one, other, key=_INTEGERS.index)
    if {one, other} == {T.DateType(), T.TimestampNTZType()}:
        return T.TimestampNTZType()
    numbers = (*_INTEGERS[:3], T.FloatType(), T.DoubleType())  # a double holds them all; not all bigints
    return T.DoubleType() if one in numbers and other in numbers else None


def _wider_decimal(one: T.DataType, other: T.DataType) -> T.DataType | None:
    sizes = [
        (kind.precision, kind.scale) if isinstance(kind, T.DecimalType) else (_DIGITS.get(kind, _MOST_DIGITS + 1), 0)
        for kind in (one, other)
    ]
    scale = max(scale for _, scale in sizes)
    digits = scale + max(precision - scale for precision, scale in sizes)
    return T.DecimalType(digits, scale) if digits <= _MOST_DIGITS else None


def decoded(column: Column, found: FileColumn) -> Column:
    """The values of a column that was read as its file holds them: UUIDs as text, half floats as float."""
    if found.form is Form.UUID:
        parts = ((1, 8), (9, 4), (13, 4), (17, 4), (21, 12))
        text = F.lower(F.hex(column))
        return F.when(column.isNotNull(), F.concat_ws("-", *[F.substring(text, *part) for part in parts]))
    if found.form is Form.HALF:
        return F.transform(column, _half) if isinstance(found.type, T.ArrayType) else _half(column)
    return column


def _half(value: Column) -> Column:
    """A half float (IEEE 754 binary16) of its 2 little-endian bytes, as float."""
    text = F.hex(value)
    bits = F.conv(F.concat(F.substring(text, 3, 2), F.substring(text, 1, 2)), 16, 10).cast("int")
    exponent, fraction = F.shiftright(bits, 10).bitwiseAND(31), bits.bitwiseAND(1023)
    special = F.when(fraction == 0, F.lit(float("inf"))).otherwise(F.lit(float("nan")))
    normal = (fraction + 1024) * F.pow(F.lit(2.0), exponent - 25)
    size = F.when(exponent == 31, special).when(exponent == 0, fraction * F.lit(2.0**-24)).otherwise(normal)
    return F.when(value.isNotNull(), (F.when(bits >= 2**15, -size).otherwise(size)).cast("float"))


def widened(columns: Sequence[FileColumn]) -> tuple[FileColumn, FileColumn | None]:
    """The column that holds the values of all, and the first one for which there is none with those before it."""
    common = columns[0]
    for column in columns[1:]:
        wide = wider(common, column)
        if wide is None:
            return common, column
        common = wide
    return common, None
