"""What the report says of external SIDs before any figure; each note is worded here."""

from __future__ import annotations

from collections.abc import Sequence

from drq_spark.external.codebook_tokenizer import CodebookTokenizer
from drq_spark.page.numbers import number, percent


def rows_set_aside(bad: int, rows: int, levels: int, reasons: str) -> str:
    """Rows of the map that cannot be used; `reasons` counts them by reason."""
    return f"{bad:,} of {rows:,} rows cannot be used as SIDs of {levels} codes: {reasons}."


def longer_codes(items: int, levels: int) -> str:
    """Items with one code more than a SID has."""
    return f"{items:,} items have one code more than {levels}: it tells items apart, the SID leaves it out."


def codes_count_from_1() -> str:
    """The lowest code of every level is 1, and codes are taken to count from 0."""
    return "The lowest code of every level is 1: if codes count from 1, set sids.base=1; 0 counts as unused."


def sizes_guessed(codebook_sizes: Sequence[int]) -> str:
    """Nothing says how many codes a level has."""
    return f"K is taken to be the largest code + 1, {list(codebook_sizes)}: give --codes where codebooks are larger."


def items_without_sid(items: int) -> str:
    """Items of the items table that the map does not name."""
    return f"{items:,} items of the items table have no SID and are left out."


def unit_of_sigma(made: CodebookTokenizer) -> str:
    """What eta = 1 is, and how far to trust it."""
    note = f"η = 1 is {number(made.unit)}, the spread per effective coordinate of"
    if made.agreement is None:
        return (
            f"{note} the sums of the codewords of {made.items:,} items: the latents are not known. They spread wider, "
            "so that capacity is overstated."
        )
    return (
        f"{note} the embeddings of {made.items:,} items: the codebooks are taken to quantize them as they are. "
        f"The nearest codewords give the SIDs of {percent(made.agreement)} of {made.checked:,} items; where that is "
        "little, an encoder or a beam lies between, or codes were moved apart."
    )
