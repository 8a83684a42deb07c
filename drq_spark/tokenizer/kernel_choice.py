"""Which search encodes: numpy, or the compiled one of `drq_spark.tokenizer.fast`. Codes, margins and squares are equal
to the bit, so a run may use both, and nothing but time depends on the choice.

Numba takes a second to load, some twenty to compile once. So numpy goes first, and a tokenizer changes over when it has
had as much work as loading would have cost: whatever is still to come, that takes at most twice as long as the better
choice made in advance. Small catalogues never import numba.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

from drq_spark.arrays import F32, F64, I32
from drq_spark.errors import SetupError
from drq_spark.tokenizer.encoding import Encoding, encode_in_numpy
from drq_spark.tokenizer.kernel import Level
from drq_spark.tokenizer.reconstruction_sums import ReconstructionSums

if TYPE_CHECKING:
    from drq_spark.tokenizer.fast.fast_search import FastSearch
    from drq_spark.tokenizer.fast.products import Multiplier

logger = logging.getLogger(__name__)

WIDEST_BEAM = 12  # for which the compiled search has room
LARGEST_BOOK = 2**20  # keys number their vectors in the bits of a score
WORK_OF_LOADING = 10**10  # multiply-adds that numpy does in the second or so that loading takes
WORK_OF_COMPILING = 10**11


class Searches:
    """The searches over one tokenizer's codebooks.

    Args:
        levels: The codebooks.
        width: Paths that are kept, 1 = greedy.
        multiplier: A GPU that makes the products; without one the processor does.

    Raises:
        SetupError: the GPU cannot be used: there is no compiled search here, or it does not multiply in float32.
    """

    def __init__(self, levels: Sequence[Level], width: int, multiplier: Multiplier | None = None) -> None:
        self._levels, self._width = levels, width
        sizes = [len(level.codewords) for level in levels]
        self._work_of_row = width * levels[0].codewords.shape[1] * sum(sizes)
        self._work = 0
        self._can_compile = width <= WIDEST_BEAM and max(sizes) <= LARGEST_BOOK
        self._fast: FastSearch | None = None
        if multiplier is not None:
            self._fast = _with_products_of(multiplier, levels, width, fits=self._can_compile)

    def encode(self, z: F32, *, reach: bool) -> Encoding:
        """SIDs of latents z, float32 [n, d], finite; without `reach` the reaches may be left out."""
        fast = self._compiled(len(z))
        return encode_in_numpy(z, self._levels, self._width) if fast is None else fast.encode(z, reach=reach)

    def codes(self, z: F32) -> I32:
        """The codes of `encode` alone, int32 [n, L]."""
        fast = self._compiled(len(z))
        return encode_in_numpy(z, self._levels, self._width).codes if fast is None else fast.codes(z)

    def reconstruction_sums(self, x: F32, tables: Sequence[F32], codes: I32, anchor: F64) -> ReconstructionSums | None:
        """The sums for rows x that are their own latents, where compiled code encodes them already; else None."""
        return None if self._fast is None else self._fast.reconstruction_sums(x, tables, codes, anchor)

    def _compiled(self, rows: int) -> FastSearch | None:
        """The compiled search where it is there or pays by now."""
        if self._fast is None and self._can_compile:
            self._work += rows * self._work_of_row
            if _pays(self._work):
                self._fast = _load(self._levels, self._width)
                self._can_compile = self._fast is not None
        return self._fast


@lru_cache
def _has_numba() -> bool:
    return find_spec("numba") is not None


def _pays(work: int) -> bool:
    """Whether the compiled search pays after some work, in multiply-adds, by numpy."""
    if work < WORK_OF_LOADING or not _has_numba():
        return False
    from drq_spark.tokenizer.fast.code_cache import is_complete

    return work >= WORK_OF_COMPILING or is_complete()


def _load(levels: Sequence[Level], width: int) -> FastSearch | None:
    """The compiled search; None, with the reason in the log, where it does not work here."""
    search = _compiled_search(levels)
    if isinstance(search, str):
        logger.warning("codes are made with numpy, for %s", search)
        return None
    return search(levels, width)


def _compiled_search(levels: Sequence[Level]) -> type[FastSearch] | str:
    """The class of the compiled search; where it does not work here, why."""
    try:
        from drq_spark.tokenizer.fast.code_cache import mark_complete
        from drq_spark.tokenizer.fast.fast_search import FastSearch
        from drq_spark.tokenizer.fast.self_check import adds_up_as_numpy
    except Exception as error:  # numba refuses some versions of numpy, and its cache may be damaged
        return f"numba does not work here: {' '.join(str(error).split())}"
    mark_complete()
    if not adds_up_as_numpy(levels[0].codewords.shape[1]):
        return "this version of numpy adds up in another order"
    return FastSearch


def _with_products_of(multiplier: Multiplier, levels: Sequence[Level], width: int, *, fits: bool) -> FastSearch:
    """The compiled search with the products of a GPU.

    Raises:
        SetupError: there is none here, or the products are not those of float32.
    """
    search = _compiled_search(levels) if fits else f"a beam above {WIDEST_BEAM}, or a book above {LARGEST_BOOK:,} codes"
    if isinstance(search, str):
        raise SetupError(
            f"a GPU multiplies for compiled code alone, and here it cannot be used ({search}): "
            "pip install 'drq-spark[executors]' brings numba to an executor, and assign.device=cpu needs none"
        )
    from drq_spark.tokenizer.fast.products import multiplies_in_float32

    if not multiplies_in_float32(multiplier, levels[0].codewords.shape[1]):
        raise SetupError(
            "the GPU does not multiply in float32, and codes would be wrong: unset what rounds its products to TF32 or "
            "less (NVIDIA_TF32_OVERRIDE, TORCH_ALLOW_TF32_CUBLAS_OVERRIDE, CUBLAS_EMULATE_SINGLE_PRECISION), or set "
            "assign.device=cpu"
        )
    return search(levels, width, multiplier)
