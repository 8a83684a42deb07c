"""Items in every form that users have them: the same vectors get the same codes."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from inputs.cells import written
from pipeline.catalogues import Rows, clustered, plain, write
from pipeline.direct import assigned, by_id, config, ready_tokenizer
from pyspark.sql import Row

from drq_spark.config import Items, load_config
from drq_spark.errors import InputRefused
from drq_spark.hashing import key_bucket, sample_key
from drq_spark.inputs.catalogue_profile import Profile, _refuse
from drq_spark.inputs.cell_numbers import matrix
from drq_spark.inputs.identity import content_fingerprint
from drq_spark.inputs.items import read_catalogue

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


@pytest.fixture(scope="module")
def histogram(spark, rows, tmp_path_factory):
    """Of the sample keys of the ids as text."""
    return read_catalogue(spark, config(write(rows, tmp_path_factory.mktemp("text") / "items"))).profile.key_histogram


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
    def test_codes_and_sample_do_not_depend_on_the_type_of_the_id(
        self, spark, rows, tokenizer, codes, histogram, tmp_path, kind
    ):
        id_type, cast = IDS[kind]
        items = write(rows.with_ids([cast(item) for item in rows.ids]).table(id_type), tmp_path / "items")
        assert codes_of(spark, config(items), tokenizer, tmp_path / "staging") == codes
        assert read_catalogue(spark, config(items)).profile.key_histogram == histogram

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
        "kind", [pa.float64(), pa.bool_(), pa.timestamp("us"), pa.decimal128(10, 2), pa.list_(pa.int64())], ids=str
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


class TestBytes:
    """Binary embeddings of other types: by a setting with the codes of their numbers, without one not at all."""

    @pytest.mark.parametrize("kind", ["bfloat16", ">f4", "npy"])
    def test_the_type_that_a_setting_names_is_read(self, spark, rows, tmp_path, kind):
        cells = pa.array([*written(rows.matrix(), kind), None, b"12345"], pa.binary())
        items = write(pa.table({"item_id": [*rows.ids, "null", "odd"], "embedding": cells}), tmp_path / "items")
        numbers = matrix(cells[:ROWS], kind, DIM)
        tokenizer = ready_tokenizer(numbers)
        catalogue, done = assigned(spark, config(items, f"items.bytes={kind}"), tokenizer, tmp_path / "staging")
        assert catalogue.profile.dim == DIM
        codes = map(tuple, tokenizer.encode(numbers).codes.tolist())
        assert {item: row[0] for item, row in by_id(done.rows, "codes").items()} == dict(
            zip(rows.ids, codes, strict=True)
        )
        assert dict(by_id(done.quarantined, "reason")) == {"null": ("null",), "odd": ("wrong_dimension",)}

    @pytest.mark.parametrize(
        ("kind", "sets", "says"),
        [
            (
                "float16",
                ["items.normalize=l2"],
                rf"float16, {DIM} numbers in {2 * DIM} bytes: give items.bytes=float16",
            ),
            ("float64", [f"items.dim={DIM}"], r"like float64, .*: give items.bytes=float64, or items.bytes=float32"),
            (">f4", [], r"like >f4, .*: give 'items.bytes=>f4'"),
        ],
    )
    def test_without_a_setting_they_are_refused_by_their_likely_type(self, spark, rows, tmp_path, kind, sets, says):
        zeros = [bytes(DIM * 2)] * ROWS  # they come first and tell nothing
        cells = pa.array([*zeros, *written(rows.matrix(), kind) * 2], pa.binary())
        items = write(
            pa.table({"item_id": [str(n) for n in range(len(cells))], "embedding": cells}), tmp_path / "items"
        )
        with pytest.raises(InputRefused, match=f"embedding column 'embedding' is binary, and its bytes .*{says}"):
            read_catalogue(spark, config(items, *sets))

    def test_named_float32_they_are_not_looked_at(self, spark, rows, tmp_path):
        cells = pa.array(written(rows.matrix(), "float16"), pa.binary())
        items = write(pa.table({"item_id": rows.ids, "embedding": cells}), tmp_path / "items")
        assert read_catalogue(spark, config(items, "items.bytes=float32")).profile.dim == DIM // 2


class TestColumns:
    @pytest.mark.parametrize("name", NAMES)
    def test_columns_of_any_name_are_read(self, spark, rows, tmp_path, name):
        table = rows.table().rename_columns([name, f"{name} e"]).append_column(f"{name} x", pa.array([1.0] * ROWS))
        items = write(table, tmp_path / "items")
        text = {"items.id": name, "items.embedding": f"{name} e", "items.exposure": f"{name} x", "items.path": items}
        read = read_catalogue(spark, load_config(options=text)).df
        assert by_id(read, "embedding", "exposure") == {
            item: (tuple(embedding), 1.0) for item, embedding in zip(rows.ids, rows.matrix().tolist(), strict=True)
        }

    def test_names_are_taken_exactly(self, spark, rows, tmp_path):
        items = write(rows, tmp_path / "items")
        with pytest.raises(InputRefused, match=r"no column 'ITEM_ID' \(items.id\): did you mean 'item_id'\?"):
            read_catalogue(spark, config(items, "items.id=ITEM_ID"))
        with pytest.raises(InputRefused, match=r"no column 'vector' \(items.id\): It has"):
            read_catalogue(spark, config(items, "items.id=vector"))


class TestProfile:
    @pytest.mark.parametrize("change", ["embedding", "id", "row", "exposure"])
    def test_any_change_of_the_rows_changes_what_stands_for_the_content(self, spark, tmp_path, change):
        rows = plain(ROWS, DIM, exposed=True)
        before = read_catalogue(spark, config(write(rows, tmp_path / "before"), "items.exposure=exposure"))
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
        after = read_catalogue(spark, config(write(table, tmp_path / "after"), "items.exposure=exposure"))
        assert content_fingerprint(before) != content_fingerprint(after)

    def test_the_most_frequent_length_is_the_dimension_unless_one_is_set(self, spark, tmp_path):
        rows = plain(60, DIM).plus([f"long-{n}" for n in range(40)], clustered(40, DIM + 1).tolist())
        items = write(rows, tmp_path / "items")
        assert read_catalogue(spark, config(items)).profile.dim == DIM
        assert read_catalogue(spark, config(items, f"items.dim={DIM + 1}")).profile.dim == DIM + 1

    def test_few_rows_of_one_length_tell_it_and_all_are_asked_where_they_do_not(self, spark, tmp_path, monkeypatch):
        monkeypatch.setattr("drq_spark.inputs.catalogue_profile._FEW_ROWS", 5)
        rows = Rows(["none"], [None]).plus([f"n-{n}" for n in range(8)], clustered(8, DIM).tolist())
        more = rows.plus([f"long-{n}" for n in range(20)], clustered(20, DIM + 1).tolist())
        items = write(more, tmp_path / "items", 1)
        assert read_catalogue(spark, config(items)).profile.dim == DIM  # the sample step refuses such a table
        assert read_catalogue(spark, config(items, f"items.dim={DIM + 1}")).profile.dim == DIM + 1
        with pytest.raises(InputRefused, match=rf"items.dim is {DIM + 2}, but .* have {DIM} to {DIM + 1} numbers"):
            read_catalogue(spark, config(items, f"items.dim={DIM + 2}"))
        mixed = plain(3, DIM).plus([f"long-{n}" for n in range(20)], clustered(20, DIM + 1).tolist())
        assert read_catalogue(spark, config(write(mixed, tmp_path / "mixed", 1))).profile.dim == DIM + 1

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


class TestRepeatedIds:
    """Of the equal rows of an id the most exposed one stays, and the sample is drawn by its weight."""

    @pytest.fixture
    def read(self, spark, tmp_path):
        """Forty items, three rows each that differ in exposure alone; the highest is first, last or between."""
        good = plain(40, DIM, exposed=True)
        shown = [[1.0, 5.0, 900.0][(place + item) % 3] for place in range(3) for item in range(40)]
        rows = Rows(good.ids * 3, good.embeddings * 3, tuple(shown))
        sets = ("items.exposure=exposure", "sample.exposure_power=1")
        return read_catalogue(spark, config(write(rows, tmp_path / "items", 2), *sets))

    def test_the_most_exposed_row_stays(self, read):
        kept = by_id(read.df, "exposure")
        assert kept == dict.fromkeys([f"item-{number:05d}" for number in range(40)], (900.0,))
        assert read.quarantined.count() == 80

    def test_the_profile_counts_the_rows_that_stay(self, read):
        kept = read.df.select(key_bucket(sample_key(0, 1.0)).alias("bucket")).groupBy("bucket").count().collect()
        assert read.profile.key_histogram == {row.bucket: row["count"] for row in kept}


def part(bucket: int | None, rows: int, ids: int, *, exposed: bool = True, repeated: int = 0) -> Row:
    return Row(bucket=bucket, rows=rows, ids=ids, exposed=exposed, repeated=repeated, undecided=repeated // 2)


class TestParts:
    """The profile from the parts that Spark sums up."""

    def test_rows_without_an_id_are_told_apart_and_are_in_no_bucket(self):
        profile = Profile.of([part(3, 5, 5), part(None, 2, 1, repeated=1), part(7, 1, 1)], 4)
        assert (profile.rows, profile.null_ids, profile.ids, profile.repeated) == (8, 2, 6, 0)
        assert profile.key_histogram == {3: 5, 7: 1}
        assert profile.dim == 4

    def test_ids_with_several_rows_are_counted(self):
        profile = Profile.of([part(3, 9, 5, repeated=4), part(7, 2, 1, repeated=1)], 4)
        assert (profile.repeated, profile.undecided) == (5, 2)


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ([], "items table 'x' has no rows"),
        ([part(1, 3, 3), part(2, 1, 1, exposed=False)], "exposure column 'views' has negative, NaN or infinite values"),
        ([part(None, 1200, 1)], "id column 'sku' is NULL in all 1,200 rows"),
    ],
)
def test_tables_that_cannot_be_used_are_refused(parts, says):
    with pytest.raises(InputRefused, match=says):
        _refuse(parts, Items(path="x", id="sku", exposure="views"))


def test_some_rows_without_an_id_are_no_reason_to_refuse():
    _refuse([part(None, 9, 1), part(4, 1, 1)], Items(path="x"))
