"""The column form takes what a run takes, and says in one line what it does not take."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from drq_spark.assign.sid_udf import embedding_array
from drq_spark.errors import InputRefused
from drq_spark.inputs.embeddings import read_embeddings


def objects(*values: object) -> pd.Series:
    """A column as pandas has it of arrays, each an ndarray or None."""
    return pd.Series(values, dtype=object)


class TestColumns:
    """What pandas has of each type of column."""

    def test_ml_vectors_are_all_their_numbers(self):
        vectors = pd.DataFrame(
            {
                "type": [1, 0, None, 0, 1],
                "size": [None, 3, None, 2, None],
                "indices": objects(None, np.array([0, 2], np.int32), None, np.array([], np.int32), None),
                "values": objects(np.array([1.0, 2.0, 3.0]), np.array([4.0, 5.0]), None, np.array([]), np.array([6.0])),
            }
        )
        assert embedding_array(vectors).to_pylist() == [[1, 2, 3], [4, 0, 5], None, [0, 0], [6]]
        dense, null = vectors.iloc[[0, 4]].reset_index(drop=True), vectors.iloc[[2]].reset_index(drop=True)
        assert embedding_array(dense).to_pylist() == [[1, 2, 3], [6]]
        assert embedding_array(null).to_pylist() == [None]

    def test_decimals_become_the_nearest_float(self):
        text = ["0.1", "-123456.789", "16777217.0001"]  # a float64 of the last would be rounded twice
        found = embedding_array(objects(np.array([Decimal(number) for number in text], object), None))
        assert found.type == pa.list_(pa.float32())
        assert found.to_pylist() == [[float(np.float32(number)) for number in text[:2]] + [16777218.0], None]

    def test_nulls_and_nothing(self):
        assert embedding_array(objects(None, None)).to_pylist() == [None, None]
        assert len(embedding_array(objects())) == 0
        assert embedding_array(objects(np.array([None, None], object))).to_pylist() == [[None, None]]

    def test_half_floats_come_as_bytes(self):
        found = embedding_array(objects(np.array([b"\x00\x3c", None], object), np.array([b"\x00\xc0", b"\x00\x38"])))
        assert read_embeddings(found, 2, "none").x.tolist() == [[-2.0, 0.5]]

    @pytest.mark.parametrize(
        ("values", "kind"),
        [
            (pd.Series(["[1.0, 2.0]"]), "string"),
            (pd.Series([1.0]), "double"),
            (objects(np.array([1, 2])), "array<bigint>"),
            (objects(np.array(["a"], object)), "array<string>"),
            (objects(Decimal(1)), r"decimal\(1,0\)"),
            (objects(np.array([np.array([1.0])], object)), "of ndarray"),
            (pd.DataFrame({"x": [1.0], "y": [2.0]}), "struct<x, y>"),
        ],
        ids=str,
    )
    def test_another_type_is_refused_by_its_name(self, values, kind):
        with pytest.raises(InputRefused, match=rf"^sid_udf: the embedding column is {kind}; it must be array<float>"):
            embedding_array(values)
