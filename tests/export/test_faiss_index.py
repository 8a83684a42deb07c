"""The index, read and searched by FAISS."""

from __future__ import annotations

import faiss
import numpy as np
import pyarrow.parquet as pq
import pytest
from export.small_catalogue import CODES, ORDER, content_tokenizer, output_in, source_of, tokenizer_of

from drq_spark.errors import ConfigError
from drq_spark.export.faiss_index import add_codes, empty_index, vectors_of, write_faiss


def test_faiss_reads_the_vectors_that_sids_stand_for(spark, tmp_path):
    tokenizer = tokenizer_of()
    write_faiss(source_of(spark, tokenizer=tokenizer), output_in(tmp_path))
    index = faiss.read_index(str(tmp_path / "whole" / "sids.faiss"))
    rebuilt = tokenizer.decode(np.array([CODES[item] for item in ORDER]))
    np.testing.assert_allclose(index.reconstruct_n(0, index.ntotal), rebuilt, rtol=1e-6, atol=1e-6)
    assert pq.read_table(tmp_path / "whole" / "ids.parquet")["item_id"].to_pylist() == ORDER
    assert index.code_size == 6  # 3 + 1 + 9 bits of codes, 32 of the norm
    _, found = index.search(rebuilt.astype(np.float32), 1)
    assert [CODES[ORDER[number]] for number in found[:, 0]] == [CODES[item] for item in ORDER]


def test_codes_are_packed_bit_by_bit():
    """Level 1 lies in the lowest bits, the norm behind the last level; whoever takes bytes for codes finds others."""
    index = empty_index(tokenizer_of((5, 2, 300)).codebooks)
    add_codes(index, np.array([[4, 1, 299], [3, 0, 128]], np.int32))
    stored = faiss.vector_to_array(index.codes).reshape(2, -1)[:, :2].astype(np.int64)
    assert ((stored[:, 0] + 256 * stored[:, 1]) % 2**13).tolist() == [4 + 1 * 8 + 299 * 16, 3 + 128 * 16]


def test_search_is_that_among_all_sums_of_codewords():
    tokenizer, random = tokenizer_of((37, 16, 9), 8), np.random.default_rng(1)
    codes = random.integers(0, (37, 16, 9), (2000, 3)).astype(np.int32)
    index = empty_index(vectors_of(tokenizer))
    add_codes(index, codes)
    x, rebuilt = random.normal(size=(50, 8)).astype(np.float32), tokenizer.decode(codes)
    distance = np.square(x[:, None].astype(np.float64) - rebuilt[None]).sum(axis=2)
    told, found = index.search(x, 10)
    np.testing.assert_allclose(told, np.sort(distance, axis=1)[:, :10], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(np.take_along_axis(distance, found, 1), told, rtol=1e-4, atol=1e-4)


def test_content_decoders_are_part_of_the_vectors():
    tokenizer = content_tokenizer()
    codes = np.array([[4, 2], [0, 1]])
    first, second = vectors_of(tokenizer)
    np.testing.assert_allclose(first[codes[:, 0]] + second[codes[:, 1]], tokenizer.decode(codes), rtol=1e-5, atol=1e-6)


def test_sids_of_another_system_have_no_vectors(spark, tmp_path):
    with pytest.raises(ConfigError, match=r"faiss needs codebooks, and run night-1 measured SIDs of another system"):
        write_faiss(source_of(spark), output_in(tmp_path))
