"""The profile of the items table from the parts that Spark sums up."""

from __future__ import annotations

import pytest
from pyspark.sql import Row

from drq_spark.config import Items
from drq_spark.errors import InputRefused
from drq_spark.inputs.items import Profile, _refuse


def part(bucket: int | None, rows: int, ids: int, *, exposed: bool = True) -> Row:
    return Row(bucket=bucket, rows=rows, ids=ids, exposed=exposed)


class TestProfile:
    def test_rows_without_an_id_are_told_apart_and_are_in_no_bucket(self):
        profile = Profile.of([part(3, 5, 5), part(None, 2, 1), part(7, 1, 1)], 4, "f")
        assert (profile.rows, profile.null_ids, profile.ids, profile.duplicates) == (8, 2, 6, False)
        assert profile.key_histogram == {3: 5, 7: 1}
        assert (profile.dim, profile.fingerprint) == (4, "f")

    def test_an_id_with_two_rows_is_a_duplicate(self):
        assert Profile.of([part(3, 6, 5), part(7, 1, 1)], 4, "f").duplicates


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
