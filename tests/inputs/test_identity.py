"""A run is done again where anything that went in is different, and only there."""

from __future__ import annotations

from datetime import date, datetime

import pyarrow as pa
import pytest
from pipeline.catalogues import clustered, write
from pipeline.direct import config

from drq_spark.pipeline import begin
from drq_spark.progress import SILENT

DIM = 8


@pytest.fixture
def begun(spark, tmp_path_factory):
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


def test_every_table_counts_by_its_rows_alone(begun):
    first = begun()
    assert begun(order=reversed(range(40))) == first
    moved = clustered(40, DIM)
    moved[3] += 1
    changed = [begun(kinds=("x", "y", None, "x")), begun(vectors=moved), begun(items="ba")]
    assert len({first, *changed}) == 4
