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


def one_vocabulary(base: Sequence[int]) -> str:
    """Every level begins behind the one before, and codes are taken to count from 0 in each."""
    return (
        "The codes of every level begin behind those of the level before: they look offset into one vocabulary. If "
        f"they are, set sids.base=[{','.join(map(str, base))}]; without it all codes below count as unused."
    )


def last_code_numbers(levels: int) -> str:
    """The last of L codes numbers the items that have the others in common."""
    return (
        f"The last of {levels} codes only tells items apart that share the {levels - 1} before, so that every SID "
        f"looks unique: set sids.levels={levels - 1} to leave it out."
    )


def rows_are_ids() -> str:
    """A form without ids."""
    return (
        "The file has no ids: the numbers of its rows, from 0, stand for them; sids.id=row takes them for rows of the "
        "items file."
    )


def no_header(first: Sequence[str], *, rows: bool) -> str:
    """Text whose first line holds codes; `rows` says whether row numbers are the ids."""
    shown = ",".join(first)[:60]
    ids = "" if rows else ", and its first column for ids (sids.id=_c1 takes the second, sids.id=row the row numbers)"
    return f"The first line, {shown!r}, names no columns: it is taken for a row{ids}."


def sizes_guessed(codebook_sizes: Sequence[int]) -> str:
    """Nothing says how many codes a level has."""
    return f"K is taken to be the largest code + 1, {list(codebook_sizes)}: give --codes where codebooks are larger."


def items_without_sid(items: int) -> str:
    """Items of the items table that the map does not name."""
    return f"{items:,} items of the items table have no SID and are left out."


def other_items(id_shift: int | None) -> str:
    """Codes that say nothing of the embeddings, and the `id_shift` by which they do; None where none is known."""
    told = (
        "The codes say no more of the embeddings than chance: the map seems to be of other items, or its ids shifted."
    )
    if id_shift is None:
        return f"{told} Do sids.id and items.id hold the same ids, and is items.embedding what was quantized?"
    return f"{told} With every id moved they do: set sids.id_shift={id_shift}."


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
