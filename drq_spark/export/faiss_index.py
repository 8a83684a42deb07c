"""The catalogue as an index of FAISS that searches by SIDs alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from pyspark.sql import functions as F

from drq_spark.arrays import F32, I32
from drq_spark.errors import SetupError
from drq_spark.export.export_source import ExportSource
from drq_spark.export.ordered_parts import NUMBER, batches, write_ordered
from drq_spark.export.token_rows_worker import codes_of_batch
from drq_spark.export.whole_output import Output
from drq_spark.files import writing
from drq_spark.tokenizer.model import Tokenizer
from drq_spark.tokenizer.network import ContentDecoder

_BUFFER_BYTES = 2**22


def write_faiss(source: ExportSource, output: Output) -> None:
    """`sids.faiss`, an IndexResidualQuantizer by squared distance, and `ids.parquet`.

    The latter has number (what a search tells) and item_id. An item is its codes, each in as many bits as its level
    needs, and the squared norm of what they add up to as float32. Where the decoder is a network, the vectors are
    latents, else embeddings (`vectors_of`).

    Raises:
        SetupError: faiss is not installed.
        ConfigError: the run has no tokenizer, or the driver has too little memory.
    """
    try:
        import faiss
    except ImportError:
        raise SetupError("an index is written by FAISS, which is not installed: pip install faiss-cpu") from None
    books = vectors_of(source.require_tokenizer("faiss"))
    index = empty_index(books)
    source.require_memory("faiss", 2 * source.items * index.code_size)  # it doubles its room as it grows
    ordered = f"{output.scratch}/by_id"
    ids = write_ordered(source.rows.select("item_id", "codes"), ["item_id"], ordered)
    for batch in batches(ordered):
        add_codes(index, codes_of_batch(batch))
    with writing(f"{output.result}/sids.faiss") as stream:
        # the stubs know neither this class nor the constructor with one width per level
        writer = faiss.PyCallbackIOWriter(stream.write, _BUFFER_BYTES)  # type: ignore[attr-defined]
        faiss.write_index(index, writer)
    ids.select(NUMBER, F.col("item_id")).orderBy(NUMBER).write.parquet(f"{output.result}/ids.parquet")


def vectors_of(tokenizer: Tokenizer) -> tuple[F32, ...]:
    """One float32 [K_l, n] per level whose sums are what SIDs rebuild.

    That is x_hat [n, D] where the decoder adds nothing but a constant, else z_q [n, d], and queries are to be latents.
    """
    tables = tokenizer.tables or tokenizer.codebooks
    if not isinstance(tokenizer.decoder, ContentDecoder):
        return tables
    width = tokenizer.decoder.width_out
    first, *others = (table[:, :width] for table in tables)
    return (first + tokenizer.decoder.shift, *others)


def empty_index(books: tuple[F32, ...]) -> Any:
    """A trained IndexResidualQuantizer without items; rows that round a level up to whole bits are never used."""
    import faiss

    bits = [max(1, (len(book) - 1).bit_length()) for book in books]
    widths = faiss.UInt64Vector()
    faiss.copy_array_to_vector(np.array(bits, np.uint64), widths)
    search = faiss.AdditiveQuantizer.ST_norm_float
    index = faiss.IndexResidualQuantizer(books[0].shape[1], widths, faiss.METRIC_L2, search)  # type: ignore[call-overload]
    padded = [np.pad(book, ((0, 2**width - len(book)), (0, 0))) for book, width in zip(books, bits, strict=True)]
    faiss.copy_array_to_vector(np.concatenate(padded).reshape(-1), index.rq.codebooks)
    index.rq.is_trained = index.is_trained = True
    return index


def add_codes(index: Any, codes: I32) -> None:
    """Add items by their codes int32 [n, L], packed bit by bit, with their norms."""
    import faiss

    rows = np.ascontiguousarray(codes, np.int32)
    packed = np.zeros((len(rows), index.code_size), np.uint8)
    index.rq.pack_codes(len(rows), faiss.swig_ptr(rows), faiss.swig_ptr(packed))
    index.add_sa_codes(packed)
