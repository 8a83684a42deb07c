"""What a tokenizer says of itself in a notebook."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from drq_spark.tokenizer.model import Tokenizer


def in_one_line(tokenizer: Tokenizer) -> str:
    """Kind and shape: `<Tokenizer drq: 128 numbers to 3 codes of 256, beam 4>`."""
    return (
        f"<Tokenizer {tokenizer.kind}: {tokenizer.dim} numbers to {_codes(tokenizer.codebook_sizes)}{_beam(tokenizer)}>"
    )


def as_html(tokenizer: Tokenizer) -> str:
    """A small table: shape, encoding, and what it was trained on."""
    rows = [("embedding", f"{tokenizer.dim} numbers{', divided by their norm' * (tokenizer.normalize == 'l2')}"),
            ("SID", _codes(tokenizer.codebook_sizes) + _beam(tokenizer)),
            *_training(tokenizer)]  # fmt: skip
    cells = "".join(f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in rows)
    return f"<table><caption>Tokenizer {escape(tokenizer.kind)}</caption>{cells}</table>"


def _codes(sizes: Sequence[int]) -> str:
    same = len(set(sizes)) == 1
    return f"{len(sizes)} codes of {sizes[0] if same else ', '.join(map(str, sizes))}"


def _beam(tokenizer: Tokenizer) -> str:
    return f", beam {tokenizer.beam}" if tokenizer.beam > 1 else ""


def _training(tokenizer: Tokenizer) -> list[tuple[str, str]]:
    """What the artifact tells of its training; nothing of one that another program wrote."""
    told, rows = tokenizer.training, []
    if "sample" in told:
        sample = told["sample"]
        rows.append(("trained on", f"{sample['fit']:,} items, {sample['held_out']:,} held out"))
    if "held_out_relative_mse" in told:
        rows.append(("relative error of items held out", f"{told['held_out_relative_mse']:.3f}"))
    return rows
