"""Items in every form that users have them: the same vectors get the same codes."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pipeline.catalogues import clustered, plain, write
from pipeline.direct import assigned, by_id, config, ready_tokenizer

from drq_spark.errors import DrqError, InputRefused
from drq_spark.inputs.items import read_catalogue
from drq_spark.table_names import quoted

ROWS = 120
DIM = 8
TYPES = {
    "array<float>": pa.list_(pa.float32()),
    "array<double>": pa.list_(pa.float64()),
    "fixed size list": pa.list_(pa.float32(), DIM),
    "binary": pa.binary(),
}
IDS = {
    "string": (pa.string(), str),
    "bigint": (pa.int64(), int),
    "int": (pa.int32(), int),
    "smallint": (pa.int16(), int),
}
NAMES = ("a`b", "it's", "a.b", "a b", "Größe", "UPPER", 'say "x"', "a/b", "x*[y]")


@pytest.fixture(scope="module")
def rows():
    """Numbered items without a bad row."""
    return plain(ROWS, DIM).with_ids([str(number) for number in range(ROWS)])


@pytest.fixture(scope="module")
def tokenizer(rows):
    """One tokenizer for all forms."""
    return ready_tokenizer(rows.matrix())


@pytest.fixture(scope="module")
def codes(rows, tokenizer):
    """id (as text) -> codes, by the tokenizer alone."""
    encoded = tokenizer.encode(rows.matrix()).codes.tolist()
    return dict(zip(rows.ids, map(tuple, encoded), strict=True))


def codes_of(spark, settings, tokenizer, staging):
    """id (as text) -> codes, by Spark."""
    _, done = assigned(spark, settings, tokenizer, staging)
    assert done.quarantined.count() == 0
    return {str(item): values[0] for item, values in by_id(done.rows, "codes").items()}


class TestTypes:
    @pytest.mark.parametrize("kind", TYPES)
    def test_codes_do_not_depend_on_the_type_of_the_embedding(self, spark, rows, tokenizer, codes, tmp_path, kind):
        items = write(rows.table(embedding=TYPES[kind]), tmp_path / "items")
        assert codes_of(spark, config(items), tokenizer, tmp_path / "staging") == codes

    @pytest.mark.parametrize("kind", IDS)
    def test_codes_and_sample_do_not_depend_on_the_type_of_the_id(self, spark, rows, tokenizer, codes, tmp_path, kind):
        id_type, cast = IDS[kind]
        items = write(rows.with_ids([cast(item) for item in rows.ids]).table(id_type), tmp_path / "items")
        assert codes_of(spark, config(items), tokenizer, tmp_path / "staging") == codes
        text = write(rows, tmp_path / "text")
        histograms = [read_catalogue(spark, config(path)).profile.key_histogram for path in (items, text)]
        assert histograms[0] == histograms[1]

    def test_vectors_dense_sparse_and_null_are_read(self, spark, rows, tokenizer, codes, tmp_path):
        from pyspark.ml.linalg import Vectors

        data = []
        for number, (item, row) in enumerate(zip(rows.ids, rows.embeddings, strict=True)):
            sparse = Vectors.sparse(DIM, dict(enumerate(row)))
            data.append((item, sparse if number % 2 else Vectors.dense(row)))
        data.append(("nothing", None))
        spark.createDataFrame(data, ["item_id", "embedding"]).createOrReplaceTempView("vectors")
        _, done = assigned(spark, config("vectors"), tokenizer, tmp_path / "staging")
        assert {item: values[0] for item, values in by_id(done.rows, "codes").items()} == codes
        assert [tuple(row) for row in done.quarantined.collect()] == [("nothing", "null")]

    @pytest.mark.parametrize(
        "kind", [pa.list_(pa.int32()), pa.list_(pa.list_(pa.float32())), pa.string(), pa.float64()], ids=str
    )
    def test_another_type_of_embedding_is_refused_by_name(self, spark, tmp_path, kind):
        table = pa.table({"item_id": ["a"], "embedding": pa.nulls(1, kind)})
        with pytest.raises(InputRefused, match=r"embedding column 'embedding' is .*it must be array<float>"):
            read_catalogue(spark, config(write(table, tmp_path / "items")))

    @pytest.mark.parametrize(
        "kind", [pa.float64(), pa.bool_(), pa.timestamp("us"), pa.decimal128(10, 0), pa.list_(pa.int64())], ids=str
    )
    def test_another_type_of_id_is_refused_by_name(self, spark, tmp_path, kind):
        table = pa.table({"item_id": pa.nulls(1, kind), "embedding": pa.array([[1.0, 2.0]], pa.list_(pa.float32()))})
        with pytest.raises(InputRefused, match=r"id column 'item_id' is .*string or an integer"):
            read_catalogue(spark, config(write(table, tmp_path / "items")))

    def test_bytes_that_are_no_whole_floats_are_quarantined(self, spark, rows, tokenizer, codes, tmp_path):
        table = rows.table(embedding=pa.binary())
        odd = pa.table({"item_id": ["odd", "short"], "embedding": [b"\0" * (DIM * 4 + 1), b"\0" * (DIM * 4 - 4)]})
        items = write(pa.concat_tables([table, odd]), tmp_path / "items")
        _, done = assigned(spark, config(items), tokenizer, tmp_path / "staging")
        assert {item: values[0] for item, values in by_id(done.rows, "codes").items()} == codes
        assert {tuple(row) for row in done.quarantined.collect()} == {
            ("odd", "wrong_dimension"),
            ("short", "wrong_dimension"),
        }


class TestPlaces:
    def test_a_file_a_folder_a_glob_and_delta_hold_the_same_rows(self, spark, rows, tmp_path):
        folder = write(rows, tmp_path / "folder", 3)
        pq.write_table(rows.table(), tmp_path / "one.parquet")
        spark.read.parquet(folder).write.format("delta").save(str(tmp_path / "delta"))
        places = (folder, f"{folder}/part-*.parquet", str(tmp_path / "one.parquet"), str(tmp_path / "delta"))
        profiles = [read_catalogue(spark, config(place)).profile for place in places]
        assert [profile.rows for profile in profiles] == [ROWS] * 4
        assert len({profile.fingerprint for profile in profiles}) == 1

    def test_a_glob_takes_the_files_that_it_names(self, spark, rows, tmp_path):
        folder = write(rows, tmp_path / "folder", 3)
        assert read_catalogue(spark, config(f"{folder}/part-00[01].parquet")).profile.rows == 80

    @pytest.mark.parametrize("name", NAMES)
    def test_a_view_of_any_name_is_read(self, spark, rows, tmp_path, name):
        spark.read.parquet(write(rows, tmp_path / "items")).createOrReplaceTempView(quoted(name))
        try:
            assert read_catalogue(spark, config(quoted(name))).profile.rows == ROWS
        finally:
            spark.catalog.dropTempView(quoted(name))

    @pytest.mark.parametrize("provider", ["parquet", "delta"])
    def test_a_saved_table_is_read_by_its_qualified_name(self, spark, rows, tmp_path, provider):
        source = spark.read.parquet(write(rows, tmp_path / "items"))
        spark.sql("CREATE DATABASE IF NOT EXISTS shop")
        source.write.format(provider).saveAsTable(f"shop.items_{provider}")
        for name in (f"shop.items_{provider}", f"spark_catalog.shop.items_{provider}", f"`shop`.`items_{provider}`"):
            assert read_catalogue(spark, config(name)).profile.rows == ROWS

    @pytest.mark.parametrize("name", ["a..b", "`open", "a`b", ".", "a."])
    def test_what_cannot_be_a_name_is_refused(self, spark, name):
        with pytest.raises(InputRefused, match="is not a table name"):
            read_catalogue(spark, config(name))


class TestColumns:
    @pytest.mark.parametrize("name", NAMES)
    def test_columns_of_any_name_are_read(self, spark, rows, tokenizer, codes, tmp_path, name):
        table = rows.table().rename_columns([name, f"{name} e"]).append_column(f"{name} x", pa.array([1.0] * ROWS))
        items = write(table, tmp_path / "items")
        text = {"items.id": name, "items.embedding": f"{name} e", "items.exposure": f"{name} x", "items.path": items}
        from drq_spark.config import load_config

        settings = load_config(options=text)
        _, done = assigned(spark, settings, tokenizer, tmp_path / "staging")
        assert {item: values[0] for item, values in by_id(done.rows, "codes").items()} == codes
        assert {values[0] for values in by_id(done.rows, "exposure").values()} == {1.0}

    def test_names_are_taken_exactly(self, spark, rows, tmp_path):
        items = write(rows, tmp_path / "items")
        with pytest.raises(InputRefused, match=r"no column 'ITEM_ID' \(items.id\): did you mean 'item_id'\?"):
            read_catalogue(spark, config(items, "items.id=ITEM_ID"))
        with pytest.raises(InputRefused, match=r"no column 'vector' \(items.id\): It has"):
            read_catalogue(spark, config(items, "items.id=vector"))


class TestProfile:
    @pytest.mark.parametrize("change", ["embedding", "id", "row", "exposure"])
    def test_any_change_of_the_rows_changes_the_fingerprint(self, spark, tmp_path, change):
        rows = plain(ROWS, DIM, exposed=True)
        before = read_catalogue(spark, config(write(rows, tmp_path / "before"), "items.exposure=exposure")).profile
        if change == "row":
            rows = rows.taken([*range(ROWS), 0])
        columns = rows.table().to_pydict()
        if change == "embedding":
            columns["embedding"][5][0] = float(np.nextafter(np.float32(columns["embedding"][5][0]), np.float32(9)))
        if change == "id":
            columns["item_id"][5] = "another"
        if change == "exposure":
            columns["exposure"][5] += 1
        table = pa.table(columns, schema=rows.table().schema)
        after = read_catalogue(spark, config(write(table, tmp_path / "after"), "items.exposure=exposure")).profile
        assert before.fingerprint != after.fingerprint

    def test_the_most_frequent_length_is_the_dimension_unless_one_is_set(self, spark, tmp_path):
        rows = plain(60, DIM).plus([f"long-{n}" for n in range(40)], clustered(40, DIM + 1).tolist())
        items = write(rows, tmp_path / "items")
        assert read_catalogue(spark, config(items)).profile.dim == DIM
        assert read_catalogue(spark, config(items, f"items.dim={DIM + 1}")).profile.dim == DIM + 1

    @pytest.mark.parametrize("dim", [DIM - 1, DIM + 2])
    def test_a_dimension_that_no_embedding_has_is_refused(self, spark, tmp_path, dim):
        rows = plain(20, DIM).plus(["long"], clustered(1, DIM + 1).tolist())
        with pytest.raises(
            InputRefused, match=rf"items.dim is {dim}, but embeddings .* have {DIM} to {DIM + 1} numbers"
        ):
            read_catalogue(spark, config(write(rows, tmp_path / "items"), f"items.dim={dim}"))

    @pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
    def test_an_exposure_that_is_no_weight_is_refused(self, spark, tmp_path, value):
        rows = plain(20, DIM, exposed=True).plus(["bad"], clustered(1, DIM).tolist(), exposure=value)
        with pytest.raises(InputRefused, match="exposure column 'exposure' has negative, NaN or infinite values"):
            read_catalogue(spark, config(write(rows, tmp_path / "items"), "items.exposure=exposure"))

    def test_only_null_ids_are_refused(self, spark, tmp_path):
        rows = plain(20, DIM).with_ids([None] * 20)
        with pytest.raises(InputRefused, match="id column 'item_id' is NULL in all 20 rows"):
            read_catalogue(spark, config(write(rows.table(pa.string()), tmp_path / "items")))


class TestWhatGoesIn:
    """A run is done again where anything that went in is different, and only there."""

    @pytest.fixture
    def begun(self, spark, tmp_path_factory):
        from datetime import date, datetime

        from drq_spark.pipeline import begin
        from drq_spark.progress import SILENT

        x = clustered(40, DIM)

        def run_id(order=range(40), kinds=("x", "y", "x", None), vectors=x, items="ab"):
            folder, order = tmp_path_factory.mktemp("in"), list(order)
            ids = [str(number) for number in order]
            rows = pa.table({"item_id": ids, "embedding": x[order].tolist(), "kind": [kinds[n % 4] for n in order]})
            later = pa.table({"item_id": ids, "embedding": vectors[order].tolist()})
            acts = pa.table({"user_id": [1, 1], "item_id": list(items), "timestamp": [1, 2]})
            settings = config(
                write(rows, folder / "items"), "items.attributes=[kind]", f"store.out={folder}",
                f"events.path={write(acts, folder / 'events')}",
                f"measure.embeddings_after={write(later, folder / 'later')}",
            )  # fmt: skip
            return begin(spark, settings, date(2026, 1, 1), datetime(2026, 1, 1), SILENT)[0].state.run_id

        return run_id

    def test_every_table_counts_by_its_rows_alone(self, begun):
        first = begun()
        assert begun(order=reversed(range(40))) == first
        moved = clustered(40, DIM)
        moved[3] += 1
        changed = [begun(kinds=("x", "y", None, "x")), begun(vectors=moved), begun(items="ba")]
        assert len({first, *changed}) == 4


class TestEvents:
    def read(self, spark, path, id_type="string"):
        from drq_spark.config import load_config
        from drq_spark.inputs.events import read_events

        return read_events(spark, load_config(options={"events.path": path}), id_type)

    def events(self, tmp_path, **columns):
        return write(pa.table({"user_id": [1], "item_id": ["a"], "timestamp": [1], **columns}), tmp_path / "events")

    @pytest.mark.parametrize(
        ("id_type", "items"),
        [
            ("string", pa.array([1])),
            ("bigint", pa.array(["1"])),
            ("bigint", pa.array([1.0])),
            ("bigint", pa.array([[1]])),
        ],
        ids=str,
    )
    def test_item_ids_that_cannot_match_are_refused(self, spark, tmp_path, id_type, items):
        with pytest.raises(InputRefused, match="both must be strings or both integers"):
            self.read(spark, self.events(tmp_path, item_id=items), id_type)

    @pytest.mark.parametrize("name", ["user_id", "timestamp"])
    def test_a_column_that_cannot_be_ordered_is_refused(self, spark, tmp_path, name):
        with pytest.raises(InputRefused, match=f"column '{name}' is array<bigint>"):
            self.read(spark, self.events(tmp_path, **{name: pa.array([[1]])}))

    def test_ids_beyond_the_items_type_are_nobodys(self, spark, tmp_path):
        from drq_spark.inputs.events import exposure_from_events

        table = pa.table({"user_id": [1, 1, 2], "item_id": [7, 70_000, 7], "timestamp": [1, 2, 3]})
        events = self.read(spark, write(table, tmp_path / "events"), "smallint")
        assert [tuple(row) for row in exposure_from_events(events).collect()] == [(7, 2.0)]

    def test_no_events_are_refused(self, spark, tmp_path):
        table = pa.table({"user_id": [1], "item_id": ["a"], "timestamp": [1]}).slice(0, 0)
        with pytest.raises(DrqError, match="events table has no rows"):
            self.fingerprint(spark, write(table, tmp_path / "events"))

    def test_the_fingerprint_is_of_the_rows_whatever_their_order(self, spark, tmp_path):
        rows = pa.table({"user_id": [1, 1, 2], "item_id": ["a", "b", "a"], "timestamp": [1, 2, 3]})
        first = self.fingerprint(spark, write(rows, tmp_path / "first"))
        assert self.fingerprint(spark, write(rows.take([2, 0, 1]), tmp_path / "turned", files=2)) == first
        assert self.fingerprint(spark, write(rows.take([0, 1, 2, 2, 2]), tmp_path / "more")) != first

    def fingerprint(self, spark, path):
        from drq_spark.config import load_config
        from drq_spark.inputs.events import events_fingerprint

        return events_fingerprint(spark, load_config(options={"events.path": path}), "string")
