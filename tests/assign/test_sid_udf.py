"""The column form takes what a run takes, and says in one line what it does not take."""

from __future__ import annotations

import warnings
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from inputs.cells import written
from pipeline.catalogues import clustered
from pipeline.direct import ready_tokenizer
from pyspark.errors import PythonException
from pyspark.sql import functions as F

from drq_spark.assign.sid_udf import embedding_array, sid_udf
from drq_spark.errors import ConfigError, InputRefused
from drq_spark.inputs.embeddings import read_embeddings

ROWS, DIM = 120, 8
X = clustered(ROWS, DIM).round(3)


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


@pytest.fixture(scope="module")
def tokenizer():
    """A tokenizer of the vectors."""
    return ready_tokenizer(X)


@pytest.fixture(scope="module")
def rows(spark):
    """The vectors as lists and as bytes of half floats."""
    data = list(zip(X.tolist(), map(bytearray, written(X, "float16")), strict=True))
    return spark.createDataFrame(data, "e array<double>, half binary").coalesce(1)


class TestQueries:
    """One query a type, against the tokenizer alone."""

    def test_every_type_of_a_run_gives_its_codes(self, rows, tokenizer):
        from pyspark.ml.functions import array_to_vector

        with warnings.catch_warnings():  # pyspark gives advice where it cannot tell what a function does
            warnings.simplefilter("error")
            sid, halves = sid_udf(tokenizer), sid_udf(tokenizer, number_type="float16")
        found = rows.select(
            sid(F.col("e").cast("array<double>")).alias("double"),
            sid(array_to_vector("e")).alias("vector"),
            sid(F.col("e").cast("array<decimal(9,3)>")).alias("decimal"),
            halves("half").alias("half"),
        ).toArrow()
        codes = tokenizer.encode(X).codes.tolist()
        assert [found[name].to_pylist() for name in ("double", "vector", "decimal")] == [codes] * 3
        assert found["half"].to_pylist() == tokenizer.encode(X.astype(np.float16).astype(np.float32)).codes.tolist()

    @pytest.mark.parametrize(
        ("column", "says"),
        [
            ("to_json(e)", "sid_udf: the embedding column is string; it must be array<float>"),
            (
                "half",
                "its bytes are no float32, they look like float16, 8 numbers in 16 bytes: give number_type",
            ),
        ],
        ids=["text", "half floats"],
    )
    def test_the_worker_says_in_one_line_what_it_does_not_take(self, rows, tokenizer, column, says):
        with pytest.raises(PythonException) as caught:
            rows.select(sid_udf(tokenizer)(F.expr(column))).collect()
        assert any(says in line for line in str(caught.value).splitlines())

    def test_an_unknown_number_type_is_refused_at_once(self, tokenizer):
        with pytest.raises(ConfigError, match=r"number_type is 'fp16'; it must be one of float32, float16"):
            sid_udf(tokenizer, number_type="fp16")
