"""Whether bytes that come without a number type are float32, from a few hundred rows.

Read as float32, bytes of another type give numbers all the same, and SIDs of noise. What tells them apart is where a
byte stands. The top byte of a float32 holds its sign and most of its exponent and takes few values in any real data;
the lower ones hold what follows the point. Every rule here asks for a pattern that another type must show and float32
does not, whatever its scale, its zeros and its rounding:

- numbers of two bytes, or of one: both halves of a word of four bytes are distributed alike;
- float64: read as such the numbers are near 1, and every second word is what follows the point, random bits or those
  that a widened float32 leaves;
- big-endian: read in reverse the bytes are float64, or numbers near 1 where they are none as they stand.

Executors run it, so it needs numpy only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drq_spark.inputs.cell_numbers import NPY_MAGIC, as_float32
from drq_spark.number_types import NumberType, of_width, width

ROWS = 256
"""So many rows are looked at."""

_ENOUGH = 64  # words other than zero: the distribution of fewer proves nothing
_DIFFERENT = 16  # words: the halves of fewer may be alike by chance
_ALIKE = 0.6  # overlap: the halves of a float32 stay below 0.3, those of two numbers above 0.7
_NEAR_1 = 40  # octaves from 1: far more than embeddings need, a third of what float32 has
_FLOAT64_NEAR_1 = 200  # octaves from 1: far more than embeddings need, a fifth of what float64 has
_TINY = 2.0**-125  # nothing that is meant is smaller
_LIVE = 8  # columns other than zero, so that no chance puts all of them at odd places
_WIDENED = np.uint32(2**29 - 1)  # the bits that a float32 leaves zero in the lower word of a float64
_USUAL_SPREAD = 1.6  # octaves: standard deviation of log2 |x| of a normal variate x
_SMALLEST = 16  # bytes of anything that is packed
_TEXT = re.compile(rb"[0-9eEinfaNIF+.,;:\s\[\](){}\"'-]{32,}|[0-9A-Za-z+/_=-]{32,}")  # numbers, base64
_PACKED = {
    "zip archives, such as .npz files or what torch.save leaves": (b"PK\x03\x04",),
    "gzip": (b"\x1f\x8b\x08",),
    "Zstandard": (b"\x28\xb5\x2f\xfd",),
    "pickled objects": (b"\x80\x02", b"\x80\x03", b"\x80\x04\x95", b"\x80\x05\x95"),
}


@dataclass(frozen=True)
class Finding:
    """What bytes hold that are no float32.

    Attributes:
        looks_like: For messages, such as "float16, 64 numbers in 128 bytes".
        kind: The likely type, None where no setting reads it.
    """

    looks_like: str
    kind: NumberType | None


def no_float32(found: Finding, given: Callable[[NumberType], str]) -> str:
    """What a message says of such bytes, from "its bytes are .." on; `given` spells how a type is named."""
    remedy = "store the numbers as array<float>" if found.kind is None else f"give {given(found.kind)}"
    return (
        f"its bytes are no float32, they look like {found.looks_like}: {remedy}, "
        f"or {given('float32')} where they are float32 all the same"
    )


def other_than_float32(cells: Iterable[bytes], dim: int | None) -> Finding | None:
    """What the cells of a binary column hold where that is no float32; None where nothing speaks against it.

    Args:
        cells: Contents of rows; the first `ROWS` are looked at that are not empty and not all zero.
        dim: Length D of an embedding where it is known.
    """
    rows = list(islice((cell for cell in cells if any(cell)), ROWS))
    if not rows:
        return None
    packed = _packed(rows)
    if packed is not None:
        return packed
    sizes, counts = np.unique([len(row) for row in rows], return_counts=True)
    size = int(sizes[counts.argmax()])
    content = np.frombuffer(b"".join(row for row in rows if len(row) == size), np.uint8).reshape(-1, size)
    kinds = _kinds(content, dim)
    return None if kinds is None else _likely(content, kinds)


def _packed(rows: Sequence[bytes]) -> Finding | None:
    """What most rows are by their first bytes, or by all of them; None where that is nothing known."""

    def most(found: Iterable[bool]) -> bool:
        return 2 * sum(found) > len(rows)

    if most(len(row) < _SMALLEST for row in rows):
        return None
    if most(row.startswith(NPY_MAGIC) for row in rows):
        return Finding("npy, a whole .npy file in every row", "npy")
    for name, first in _PACKED.items():
        if most(row.startswith(first) for row in rows):
            return Finding(name, None)
    return Finding("text", None) if most(_TEXT.fullmatch(row) is not None for row in rows) else None


def _kinds(content: NDArray[np.uint8], dim: int | None) -> Sequence[NumberType] | None:
    """The types that rows [n, size] can be of, none where it is none we know; None where float32 it may be."""
    size = content.shape[1]
    if size % 4:
        return of_width(1 if size % 2 else 2)
    words = _words(content)
    if len(words) < _ENOUGH:
        return (of_width(size // dim) or None) if dim and size % dim == 0 and size != 4 * dim else None
    turned = np.ascontiguousarray(content[:, ::-1])  # big-endian numbers become little-endian ones
    if _are_float64(content):
        return ("float64",)
    if _are_float64(turned):
        return (">f8",)
    if _halves_are_alike(words):
        return of_width(1) if _overlap(words >> 27, (words >> 19) & 0x1F, 32) > _ALIKE else of_width(2)
    return _kinds_of_words(words, _words(turned))


def _words(content: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """All words of four bytes but those that are 0.0 or -0.0."""
    words = content.view(np.dtype("<u4")).reshape(-1)
    return np.asarray(words[(words & 0x7FFFFFFF) != 0], np.uint32)


def _halves_are_alike(words: NDArray[np.uint32]) -> bool:
    """Whether both halves of the words look like numbers of one kind, byte by byte; zeros tell nothing."""
    upper, lower = (half[half != 0] for half in (words >> 16, words & 0xFFFF))
    if 2 * min(len(upper), len(lower)) < max(len(upper), len(lower)) or len(lower) < _ENOUGH:
        return False
    if len(np.unique(words)) < _DIFFERENT:
        return False
    leading = _overlap(upper >> 11, lower >> 11, 32)
    return min(leading, _overlap((upper >> 4) & 0xF, (lower >> 4) & 0xF, 16)) > _ALIKE


def _are_float64(content: NDArray[np.uint8]) -> bool:
    """Whether rows [n, size] hold float64: every second word is the lower half of a number."""
    if content.shape[1] % 8 or _near_1(content.view("<f8"), _FLOAT64_NEAR_1) < 0.9:
        return False
    pairs = content.view("<u4").reshape(len(content), -1, 2)
    lower, upper = pairs[pairs[:, :, 1] != 0].T
    if len(lower) < _ENOUGH:
        return False
    follows = lower[lower != 0]
    if len(follows) >= _ENOUGH and _random(follows):
        return 4 * len(np.unique(upper)) > len(np.unique(follows))  # not the one number of a column, beside real ones
    widened = ((lower & _WIDENED) == 0).mean() > 0.99
    live = int(pairs.any(axis=(0, 2)).sum())
    return bool(widened and live >= _LIVE and _near_1(content.view("<f8"), _NEAR_1) > 0.99)


def _kinds_of_words(words: NDArray[np.uint32], turned: NDArray[np.uint32]) -> Sequence[NumberType] | None:
    """The types that words can be of which hold a number each, and the same words with their bytes in reverse."""
    values = words.view(np.float32)
    if _near_1(values, _NEAR_1) > _ALIKE:
        return None
    meaningless = _random(words) or (np.abs(values) < _TINY).mean() > 0.9
    if _near_1(turned.view(np.float32), _NEAR_1) > 0.99 and (meaningless or len(np.unique(words)) >= _ENOUGH):
        return (">f4",)
    return () if meaningless else None


def _near_1(values: NDArray[Any], octaves: int) -> float:
    """Share of the numbers other than zero within so many octaves of 1."""
    size = np.abs(values[values != 0])
    return float(((size > 2.0**-octaves) & (size < 2.0**octaves)).mean()) if len(size) else 0.0


def _random(words: NDArray[np.uint32]) -> bool:
    """Whether the leading bits of words look drawn by lot; those of float32 and float64 take few values."""
    shares = np.bincount(words >> 28, minlength=16) / len(words)
    return float(np.minimum(shares, 1 / 16).sum()) > 0.8


def _overlap(one: NDArray[Any], other: NDArray[Any], values: int) -> float:
    """Overlap of two distributions over 0 .. values - 1: 1 of equal ones, 0 of those with nothing in common."""
    shares = (np.bincount(numbers, minlength=values) / len(numbers) for numbers in (one, other))
    return float(np.minimum(*shares).sum())


def _likely(content: NDArray[np.uint8], kinds: Sequence[NumberType]) -> Finding:
    """The finding that rows [n, size] are of the likeliest of these types."""
    size = content.shape[1]
    if not kinds:
        return Finding(f"numbers of another type, {size} bytes a row", None)
    kind = min(kinds, key=lambda one: _strangeness(content, one))
    return Finding(f"{kind}, {size // width(kind)} numbers in {size} bytes", kind)


def _strangeness(content: NDArray[np.uint8], kind: NumberType) -> float:
    """How little the bytes look like numbers of a type, to be compared among types of one width.

    Whole numbers are likely where they spread least: the wrong sign puts small ones at both ends. Others are likely
    where they are finite, and spread over as many octaves as normal variates.
    """
    with np.errstate(invalid="ignore"):  # a NaN of another type may signal
        numbers = as_float32(content, kind).astype(np.float64)
    if width(kind) == 1:
        return float(numbers.std())
    finite = np.isfinite(numbers)
    octaves = np.log2(np.abs(numbers[finite & (numbers != 0)]))
    if not len(octaves):
        return np.inf
    spread = max(float(octaves.std()), 2.0**-10)
    return float(abs(np.log2(spread / _USUAL_SPREAD)) + 100 * (1 - finite.mean()))
