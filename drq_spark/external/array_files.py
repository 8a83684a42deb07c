"""Maps that are arrays: .npy and .npz files, of shape [N, L] or [L, N], read in slices by the executors."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from pyspark.sql import DataFrame, SparkSession

from drq_spark.errors import InputRefused
from drq_spark.external.array_files_worker import ArrayRows, Stored, opened, row_reader
from drq_spark.external.file_heads import FORMS, refused_objects, refused_torch
from drq_spark.files import absolute, one_line

_CODES = ("codes", "sids", "sid", "semantic_ids", "codebook", "arr_0")
_IDS = ("ids", "item_ids", "item_id", "pid")
_MOST_LEVELS = 26
_ROWS_A_TASK = 2**20


@dataclass(frozen=True)
class ArrayNames:
    """Which arrays of an archive are meant; None where the usual names and shapes tell.

    Attributes:
        ids: Name of the ids; row numbers where `numbered`.
        codes: Name of the codes.
        numbered: Whether row numbers stand for ids, though there may be ids.
        levels: L where it is known.
    """

    ids: str | None
    codes: str | None
    numbered: bool
    levels: int | None


@dataclass(frozen=True)
class ArrayTable:
    """Rows item_id, codes; `numbered` says whether the ids are row numbers."""

    rows: DataFrame
    numbered: bool


def read_array_file(spark: SparkSession, path: str, names: ArrayNames) -> ArrayTable:
    """Rows item_id, codes of a .npy or .npz file; row numbers from 0 are the ids where the file has none.

    item_id is bigint, or string where the ids are text. codes is array<bigint>, array<string> or, of an array of
    text [N], string.

    Raises:
        InputRefused: it holds no arrays, Python objects, or none that can be codes.
    """
    place = absolute(path)
    try:
        arrays = _arrays(place, path)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise InputRefused(f"SIDs {path!r} cannot be read as arrays: {one_line(error)[:300]}") from None
    rows = _chosen(arrays, names, path)
    whole = rows.codes.member is not None or not rows.rows  # an archive is read from its beginning: by one task
    tasks = 1 if whole else -(-rows.rows // _ROWS_A_TASK)
    df = spark.range(0, rows.rows, 1, tasks).mapInArrow(row_reader(rows), rows.ddl())
    return ArrayTable(df, rows.ids is None)


def _arrays(place: str, path: str) -> Mapping[str, Stored]:
    """The arrays of a file by name, by their headers alone."""
    with opened(place, None) as file:
        if file.read(4) != b"PK\x03\x04":
            return {"": _stored(place, None, file.size())}
        file.seek(0)
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
    if any(entry.filename.rpartition("/")[2] == "data.pkl" for entry in entries):
        raise refused_torch(path)
    if not entries or not all(entry.filename.endswith(".npy") for entry in entries):
        kind = "an Excel workbook" if any(entry.filename.startswith("xl/") for entry in entries) else "a zip archive"
        raise InputRefused(f"SIDs {path!r} are {kind}; give one of {FORMS}")
    return {entry.filename.removesuffix(".npy"): _stored(place, entry.filename, entry.file_size) for entry in entries}


def _stored(place: str, member: str | None, size: int) -> Stored:
    """Where the numbers of an array begin, and what they are."""
    with opened(place, member) as stream:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(stream)
        offset = stream.tell()
    if not dtype.hasobject and size < offset + dtype.itemsize * int(np.prod(shape, dtype=np.int64)):
        raise ValueError("it ends early")
    return Stored(place, member, dtype.str if dtype.names is None else "V", tuple(shape), fortran, offset)


def _chosen(arrays: Mapping[str, Stored], names: ArrayNames, path: str) -> ArrayRows:
    """The codes and the ids among the arrays, and how the codes lie."""
    codes = _named(arrays, names.codes, _CODES, "sids.column", path)
    if codes is None:
        usable = [array for array in arrays.values() if len(array.shape) == 2 and array.kind in "iuUS"]
        if len(usable) != 1:
            raise InputRefused(
                f"SIDs {path!r} hold {_listed(arrays)}: say with --set sids.column=NAME which are the codes"
            )
        codes = usable[0]
    ids = None if names.numbered else _named(arrays, names.ids, _IDS, "sids.id", path)
    for array, what, kinds in ((codes, "codes", "iuUS"), (ids, "ids", "iuUS")):
        if array is not None and array.kind not in kinds:
            raise _wrong_kind(array, what, path)
    by_level, rows, levels = _layout(codes, names.levels, path)
    if ids is not None and ids.shape != (rows,):
        raise InputRefused(f"SIDs {path!r}: ids are {list(ids.shape)}, but the codes {list(codes.shape)}")
    return ArrayRows(codes, ids, rows, levels, by_level)


def _named(
    arrays: Mapping[str, Stored], name: str | None, usual: tuple[str, ...], setting: str, path: str
) -> Stored | None:
    """The array that a setting names, else the first with a usual name; None where there is none."""
    if name is not None:
        if name not in arrays:
            raise InputRefused(f"SIDs {path!r} hold no array {name!r} ({setting}); they hold {_listed(arrays)}")
        return arrays[name]
    if list(arrays) == [""]:  # a .npy file: one array without a name
        return arrays[""] if setting == "sids.column" else None
    return next((arrays[one] for one in usual if one in arrays), None)


def _wrong_kind(array: Stored, what: str, path: str) -> InputRefused:
    if array.kind == "O":
        return refused_objects(path)
    return InputRefused(
        f"SIDs {path!r}: {what} are {array.dtype}; they must be integers or text: save them with .astype('int64')"
    )


def _layout(codes: Stored, levels: int | None, path: str) -> tuple[bool, int, int]:
    """Whether the codes of a level lie together, N and L; a shape tells which axis is which, or `levels` does."""
    if len(codes.shape) == 1:
        return False, codes.shape[0], 1
    if len(codes.shape) != 2 or min(codes.shape) > _MOST_LEVELS:
        raise InputRefused(
            f"SIDs {path!r}: codes are {list(codes.shape)}; they must be [N, L] or [L, N] with L of at "
            f"most {_MOST_LEVELS}"
        )
    first, last = codes.shape
    fits = [last in (levels, levels + 1), first in (levels, levels + 1)] if levels else [False, False]
    if fits == [False, False]:
        fits = [last <= _MOST_LEVELS, first <= _MOST_LEVELS]
    if fits == [True, True] and first != last:
        raise InputRefused(
            f"SIDs {path!r}: codes are {list(codes.shape)}, which may be [N, L] or [L, N]: set sids.levels to L"
        )
    items_first = fits[0]
    rows, found = (first, last) if items_first else (last, first)
    return items_first == codes.fortran, rows, found


def _listed(arrays: Mapping[str, Stored]) -> str:
    return (
        ", ".join(f"{name or 'one array'} {list(array.shape)}" for name, array in sorted(arrays.items())) or "nothing"
    )
