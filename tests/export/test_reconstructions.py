"""Decoded embeddings, against the plain numpy reference of the package's formula."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from export.small_catalogue import CODES, content_tokenizer, output_in, source_of, tokenizer_of

from drq_spark.export.reconstructions import write_reconstructions
from drq_spark.export.reconstructions_worker import decoder
from drq_spark.ship import Shipped


def test_every_item_has_the_sum_of_its_codewords(spark, tmp_path):
    tokenizer = tokenizer_of()
    write_reconstructions(source_of(spark, tokenizer=tokenizer), output_in(tmp_path))
    found = pq.read_table(tmp_path / "whole")
    assert found.schema.field("embedding").type.value_type == pa.float32()
    rows = {row["item_id"]: row["embedding"] for row in found.to_pylist()}
    assert set(rows) == set(CODES)
    for item, codes in CODES.items():
        expected = sum(book[code].astype(np.float64) for book, code in zip(tokenizer.codebooks, codes, strict=True))
        assert rows[item] == expected.astype(np.float32).tolist()


def test_batches_come_back_row_by_row_in_blocks():
    tokenizer = tokenizer_of((4, 3), dim=2**20)  # two rows are a block
    codes = [[3, 2], [0, 0], [1, 2], [2, 1], [3, 0]]
    batch = pa.record_batch({"item_id": list("abcde"), "codes": pa.array(codes, pa.list_(pa.int32()))})
    parts = list(decoder(Shipped(tokenizer))(iter([batch.slice(0, 0), batch.slice(1)])))
    assert [part.num_rows for part in parts] == [2, 2]
    assert [row for part in parts for row in part.column("item_id").to_pylist()] == list("bcde")
    first = parts[1].column("embedding")[1].values.to_numpy()
    np.testing.assert_array_equal(first, tokenizer.decode(np.array([[3, 0]]))[0].astype(np.float32))


def test_what_a_decoder_makes_of_the_sum_is_the_embedding():
    tokenizer, codes = content_tokenizer(), [[4, 2], [0, 1]]
    batch = pa.record_batch({"item_id": [1, 2], "codes": pa.array(codes, pa.list_(pa.int32()))})
    (part,) = decoder(Shipped(tokenizer))(iter([batch]))
    sums = [tokenizer.codebooks[0][a] + tokenizer.codebooks[1][b] for a, b in codes]
    expected = [(row[:4] + np.arange(4)).astype(np.float32) for row in sums]
    np.testing.assert_allclose(np.array(part.column("embedding").to_pylist()), expected, rtol=1e-6)
