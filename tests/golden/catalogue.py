"""The small catalogue of the golden run: clusters, exposure with zeros, an attribute, events, some bad rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROWS, DIM, USERS, EVENTS = 300, 8, 40, 1500
SETTINGS = {
    "items.exposure": "shown",
    "items.attributes": ["shelf"],
    "events.order": "at",
    "tokenizer.codes": 8,
    "sample.size": 250,
    "train.threads": 1,
    "train.device": "cpu",
    "train.kmeans.beam_rounds": 2,
    "train.behaviour.steps": 20,
    "train.behaviour.learning_rate": 1e-3,
    "train.behaviour.dim": 4,
    "train.behaviour.hidden": 8,
    "measure.overlap_items": 100,
    "measure.perturbed_items": 200,
    "measure.neighbour_queries": 30,
    "measure.ranked_pairs": 60,
    "measure.scored_pairs": 200,
}


def write_catalogue(folder: Path) -> dict[str, str]:
    """Write items, events and a second version of the items; the options that name them."""
    random = np.random.default_rng(17)
    centres = random.normal(size=(12, DIM)) * 2
    x = (centres[random.integers(12, size=ROWS)] + 0.4 * random.normal(size=(ROWS, DIM))).astype(np.float32)
    x[20:24] = x[20]
    ids = [f"item-{number:04d}" for number in range(ROWS)]
    shown = np.floor(random.pareto(1.2, ROWS) * 10)
    shelf = [
        None if number % 17 == 0 else f"shelf-{label}" for number, label in enumerate(random.integers(5, size=ROWS))
    ]
    _write(folder / "items.parquet", ids, x, shown, shelf, bad=True)
    moved = x + 0.1 * random.normal(size=x.shape).astype(np.float32)
    _write(folder / "after.parquet", ids, moved, shown, shelf, bad=False)
    events = pa.table(
        {
            "user_id": random.integers(USERS, size=EVENTS),
            "item_id": [ids[number] for number in (ROWS * random.random(EVENTS) ** 2).astype(int)],
            "at": random.permutation(EVENTS),
        }
    )
    pq.write_table(events, folder / "events.parquet")
    return {
        "items.path": str(folder / "items.parquet"),
        "events.path": str(folder / "events.parquet"),
        "measure.embeddings_after": str(folder / "after.parquet"),
        "store.out": str(folder / "out"),
    }


def _write(path: Path, ids: list[str], x: np.ndarray, shown: np.ndarray, shelf: list[str | None], *, bad: bool) -> None:
    rows: list[list[float] | None] = x.tolist()
    if bad:
        rows[3], rows[4] = None, [float("nan"), *rows[4][1:]]  # type: ignore[misc]
    columns = {"item_id": ids, "embedding": pa.array(rows, pa.list_(pa.float32())), "shown": shown, "shelf": shelf}
    pq.write_table(pa.table(columns), path)
