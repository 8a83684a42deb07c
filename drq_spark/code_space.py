"""How many SIDs there may be: what settings and tokenizers are checked by before anything is computed."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from string import ascii_lowercase

MAX_KEYS = 2**63
MAX_LEVELS = len(ascii_lowercase)


def check_codebook_sizes(codebook_sizes: Sequence[int]) -> None:
    """Refuse code spaces that a signed 64-bit key cannot number.

    Raises:
        ValueError: no level, more levels than letters, a level with fewer than 2 codes, or prod K_l >= 2^63.
    """
    if not 1 <= len(codebook_sizes) <= MAX_LEVELS:
        raise ValueError(f"levels must be 1 to {MAX_LEVELS}, not {len(codebook_sizes)}")
    if min(codebook_sizes) < 2:
        raise ValueError(f"codes must be at least 2 at every level, not {list(codebook_sizes)}")
    if prod(codebook_sizes) >= MAX_KEYS:
        raise ValueError(
            f"codes {list(codebook_sizes)} gives {prod(codebook_sizes):.3g} SIDs, but the sid key holds "
            f"fewer than 2^63 = {MAX_KEYS:.3g}: use fewer levels or fewer codes"
        )
