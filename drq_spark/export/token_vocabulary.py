"""The tokens of a SID vocabulary with rows to begin their embeddings at, for language models of Hugging Face."""

from __future__ import annotations

import json

import numpy as np
from pyspark.sql import functions as F

from drq_spark.arrays import F32
from drq_spark.export.export_source import ExportSource
from drq_spark.export.whole_output import Output
from drq_spark.files import write_bytes, writing
from drq_spark.rows import one_row
from drq_spark.tokens import SidTokens


def write_vocabulary(source: ExportSource, output: Output) -> None:
    """`tokens.json`, one object per token with the fields of an AddedToken, and `rows.npy`, float32 [tokens, d].

    Marks come first, then the codes of each level, then suffixes from 0 to the largest where they are asked for. A row
    is the codeword of its token, and their mean for tokens that have none. SIDs of another system have no rows.
    """
    tokens, suffixes = source.choices.tokens, _suffixes(source)
    vocabulary = tokens.vocabulary(source.codebook_sizes, suffixes)
    marks = {tokens.begin, tokens.end}
    added = [_added_token(token, special=token in marks) for token in vocabulary]
    if source.tokenizer is not None:
        with writing(f"{output.result}/rows.npy") as stream:
            np.save(stream, start_rows(source.tokenizer.codebooks, tokens, suffixes))
    write_bytes(f"{output.result}/tokens.json", json.dumps(added, ensure_ascii=False, indent=0).encode())


def _suffixes(source: ExportSource) -> int:
    """How many suffix tokens there are."""
    if not source.has_suffix:
        return 0
    largest = one_row(source.rows.agg(F.max("suffix").alias("largest"))).largest
    return 0 if largest is None else int(largest) + 1


def _added_token(content: str, *, special: bool) -> dict[str, str | bool]:
    """The fields of a token that text is never split inside of, and that is left as it is."""
    as_it_is = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"content": content, **as_it_is, "special": special}


def start_rows(codebooks: tuple[F32, ...], tokens: SidTokens, suffixes: int) -> F32:
    """A row [d] per token of `SidTokens.vocabulary`, in its order."""
    codewords = np.concatenate(codebooks)
    mean = codewords.mean(axis=0, dtype=np.float64).astype(np.float32)
    marks = sum(bool(mark) for mark in (tokens.begin, tokens.end))
    return np.concatenate([np.tile(mean, (marks, 1)), codewords, np.tile(mean, (suffixes, 1))])
