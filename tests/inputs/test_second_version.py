"""The second version of the items table: one row per id under the pipeline's names, and what is refused."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from inputs.cells import written
from pipeline.catalogues import write

from drq_spark.config import Config
from drq_spark.errors import ConfigError, InputRefused
from drq_spark.inputs.second_version import after_fingerprint, read_after

LISTS = pa.list_(pa.float32())


def config(path: str | None) -> Config:
    return Config.model_validate({"items": {"path": "before", "id": "sku", "embedding": "vector", "exposure": "shown"},
                                  "measure": {"embeddings_after": path}})  # fmt: skip


def table(ids: list, id_type: pa.DataType, vectors: list | None = None, kind: pa.DataType = LISTS) -> pa.Table:
    vectors = vectors or [[float(number), 1.0] for number in range(len(ids))]
    return pa.table({"sku": pa.array(ids, id_type), "vector": pa.array(vectors, kind), "more": ids})


def found(spark, path: str, id_type: str) -> list[tuple]:
    df = read_after(spark, config(path), id_type)
    assert df.columns == ["item_id", "embedding"]
    assert df.schema["item_id"].dataType.simpleString() == id_type
    return sorted((row.item_id, row.embedding) for row in df.collect())


def test_there_need_be_none(spark):
    assert read_after(spark, config(None), "string") is None


def test_columns_have_the_names_of_the_items_table_and_exposure_is_not_asked_for(spark, tmp_path):
    path = write(table(["b", "a", None], pa.string()), tmp_path / "later")
    assert found(spark, path, "string") == [("a", [1.0, 1.0]), ("b", [0.0, 1.0])]


def test_of_repeated_ids_one_row_stays_whatever_the_order(spark, tmp_path):
    rows = [("a", [5.0, 1.0]), ("b", [1.0, 2.0]), ("a", None), ("a", [3.0, 4.0]), ("b", [1.0, 2.0])]
    kept = []
    for number, order in enumerate(([0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 3, 0, 4, 1])):
        ids, vectors = zip(*(rows[at] for at in order), strict=True)
        path = write(table(list(ids), pa.string(), list(vectors)), tmp_path / f"later-{number}", files=2)
        kept.append(found(spark, path, "string"))
    assert kept[0] == kept[1] == kept[2]
    assert [item for item, _ in kept[0]] == ["a", "b"]
    assert kept[0][0][1] in ([5.0, 1.0], [3.0, 4.0])


def test_integers_of_another_width_match_and_those_that_do_not_fit_go(spark, tmp_path):
    path = write(table([3, 2**40, 1], pa.int64()), tmp_path / "later")
    assert [item for item, _ in found(spark, path, "int")] == [1, 3]


def test_the_fingerprint_is_of_ids_and_embeddings_whatever_their_order(spark, tmp_path):
    def of(name: str, ids: list, vectors: list) -> str:
        return after_fingerprint(spark, config(write(table(ids, pa.string(), vectors), tmp_path / name)), "string")

    first = of("first", ["a", "b"], [[1.0, 2.0], [3.0, 4.0]])
    assert of("turned", ["b", "a"], [[3.0, 4.0], [1.0, 2.0]]) == first
    assert of("swapped", ["b", "a"], [[1.0, 2.0], [3.0, 4.0]]) != first
    assert of("longer", ["a", "b", "b"], [[1.0, 2.0], [3.0, 4.0], [3.0, 4.0]]) != first
    assert after_fingerprint(spark, config(None), "string") is None


def test_there_must_be_embeddings_to_compare_with(spark, tmp_path):
    alone = Config.model_validate({"measure": {"embeddings_after": str(tmp_path)}})
    with pytest.raises(ConfigError, match="give --items"):
        read_after(spark, alone, "string")


@pytest.mark.parametrize(("ids", "own", "id_type"), [([1], pa.int64(), "string"), (["1"], pa.string(), "bigint")])
def test_ids_of_another_type_are_refused(spark, tmp_path, ids, own, id_type):
    path = write(table(ids, own), tmp_path / "later")
    with pytest.raises(InputRefused, match=r"embeddings_after table: column 'sku' \(items.id\) is"):
        read_after(spark, config(path), id_type)


def test_what_cannot_be_used_is_refused_by_its_own_name(spark, tmp_path):
    with pytest.raises(InputRefused, match=r"embeddings_after table .*cannot be read"):
        read_after(spark, config(str(tmp_path / "nowhere")), "string")
    other = write(pa.table({"sku": ["a"], "vectors": [[1.0]]}), tmp_path / "other")
    with pytest.raises(InputRefused, match=r"embeddings_after table has no column 'vector'.*did you mean 'vectors'"):
        read_after(spark, config(other), "string")
    text = write(table(["a"], pa.string(), ["text"], pa.string()), tmp_path / "text")
    with pytest.raises(InputRefused, match="embeddings_after table: embedding column 'vector' is string"):
        read_after(spark, config(text), "string")
    half = written(np.random.default_rng(0).normal(size=(40, 16)), "float16")
    bytes_of_half = write(table(list(map(str, range(40))), pa.string(), half, pa.binary()), tmp_path / "half")
    with pytest.raises(InputRefused, match=r"embeddings_after table: .*they look like float16, 16 numbers in 32 bytes"):
        after_fingerprint(spark, config(bytes_of_half), "string")
    empty = write(table([None], pa.string()), tmp_path / "empty")
    for read in (read_after, after_fingerprint):  # the second before any work
        with pytest.raises(InputRefused, match="has no row with an id"):
            read(spark, config(empty), "string")
