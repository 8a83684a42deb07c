"""Small catalogues with real clusters in them, and ways to write the same rows in many forms."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from drq_spark.arrays import F32

SMALL = (
    "train.kmeans.start_iterations=2",
    "train.kmeans.balance_iterations=3",
    "train.kmeans.final_iterations=2",
    "train.kmeans.beam_rounds=4",
    "train.threads=1",
    "train.behaviour.steps=20",
    "train.behaviour.dim=4",
    "train.behaviour.hidden=8",
)
"""Settings of a fit that takes a second: enough for codes that follow the clusters."""


@dataclass(frozen=True)
class Rows:
    """Rows of an items table: ids and embeddings may be None, exposure is None for a table without that column."""

    ids: tuple[Any, ...]
    embeddings: tuple[Any, ...]
    exposure: tuple[float | None, ...] | None = None
    names: tuple[str | None, ...] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def plus(self, ids: Sequence[Any], embeddings: Sequence[Any], exposure: float = 1.0) -> Rows:
        """With more rows at the end."""
        shown = None if self.exposure is None else (*self.exposure, *[exposure] * len(ids))
        names = None if self.names is None else (*self.names, *[f"more {item}" for item in ids])
        return Rows((*self.ids, *ids), (*self.embeddings, *embeddings), shown, names)

    def taken(self, order: Sequence[int]) -> Rows:
        """These rows in this order."""
        pick = [None if column is None else tuple(column[i] for i in order) for column in self._columns()]
        return Rows(*pick)  # type: ignore[arg-type]

    def shuffled(self, seed: int = 0) -> Rows:
        """The same rows in another order."""
        return self.taken(np.random.default_rng(seed).permutation(len(self)).tolist())

    def with_ids(self, ids: Sequence[Any]) -> Rows:
        """The same embeddings under other ids."""
        return replace(self, ids=tuple(ids))

    def matrix(self) -> F32:
        """Embeddings float32 [n, D] where all are usable."""
        return np.array(self.embeddings, np.float32)

    def table(self, id_type: pa.DataType | None = None, embedding: pa.DataType | None = None) -> pa.Table:
        """As Arrow; embeddings are list<float> without a type."""
        kind = embedding or pa.list_(pa.float32())
        vectors = [_packed(row) for row in self.embeddings] if kind == pa.binary() else list(self.embeddings)
        columns = {"item_id": pa.array(list(self.ids), id_type), "embedding": pa.array(vectors, kind)}
        if self.exposure is not None:
            columns["exposure"] = pa.array(self.exposure, pa.float64())
        if self.names is not None:
            columns["title"] = pa.array(self.names, pa.string())
        return pa.table(columns)

    def _columns(self) -> tuple[Any, ...]:
        return self.ids, self.embeddings, self.exposure, self.names


def _packed(row: Any) -> bytes | None:
    return None if row is None else np.asarray(row, "<f4").tobytes()


def clustered(rows: int = 600, dim: int = 16, seed: int = 7) -> F32:
    """float32 [rows, dim]: 8 wide clusters, 8 narrow ones in each, and noise."""
    random = np.random.default_rng(seed)
    wide, narrow = random.normal(size=(8, dim)) * 3, random.normal(size=(8, dim))
    noise = random.normal(size=(rows, dim)) * 0.3
    vectors = wide[random.integers(8, size=rows)] + narrow[random.integers(8, size=rows)] + noise
    return vectors.astype(np.float32)


def plain(rows: int = 600, dim: int = 16, seed: int = 7, *, exposed: bool = False, named: bool = False) -> Rows:
    """A catalogue without a bad row; exposure has zeros, ties and a long tail."""
    random = np.random.default_rng(seed + 1)
    ids = tuple(f"item-{number:05d}" for number in range(rows))
    shown = np.where(random.random(rows) < 0.1, 0.0, np.floor(random.pareto(1.2, rows) * 10 + 1))
    return Rows(
        ids,
        tuple(row.tolist() for row in clustered(rows, dim, seed)),
        tuple(shown.tolist()) if exposed else None,
        tuple(hostile_name(item) for item in ids) if named else None,
    )


def hostile_name(item: str) -> str:
    """A name that a careless page would run."""
    return f"<script>alert('{item}')</script> & \"{item}\""


@dataclass(frozen=True)
class Messy:
    """A catalogue with every kind of bad row.

    Attributes:
        quarantine: (id, reason) of every row that must be set aside, sorted. kept: id -> float32 [D] of all others but
        `repeated`, ids with several embeddings, of which the one with the lowest hash must count.
    """

    rows: Rows
    quarantine: tuple[tuple[str | None, str], ...]
    kept: dict[str, F32]
    repeated: tuple[str, ...]


def messy(rows: int = 600, dim: int = 16, seed: int = 7, *, normalize: str = "none") -> Messy:
    """`plain` rows, 5 of them with equal embeddings, and bad rows of every kind."""
    good = plain(rows, dim, seed, named=True)
    x = good.matrix()
    x[10:15] = x[10]
    good = replace(good, embeddings=tuple(row.tolist() for row in x))
    whole, zero = x[0].tolist(), [0.0] * dim
    placeholder = [1e30, *whole[1:]]
    nan, infinite = [float("nan"), *whole[1:]], [*whole[1:], float("inf")]
    bad = {
        "bad-null": (None, "null"),
        "bad-null-element": ([*whole[1:], None], "not_finite"),
        "bad-nan": (nan, "not_finite"),
        "bad-inf": (infinite, "not_finite"),
        "bad-short": (whole[1:], "wrong_dimension"),
        "bad-long": ([*whole, 1.0], "wrong_dimension"),
        "bad-empty": ([], "wrong_dimension"),
    }
    kept = {item: x[number] for number, item in enumerate(good.ids)}
    table = good.plus(list(bad), [embedding for embedding, _ in bad.values()])
    table = table.plus(["zero", "placeholder"], [zero, placeholder]).plus([None, None], [whole, x[1].tolist()])
    table = table.plus(["twice-equal"] * 3, [x[2].tolist()] * 3)
    table = table.plus(["twice-null"] * 2, [None, x[5].tolist()])
    differs = [x[3].tolist(), x[4].tolist(), (x[4] + x[3]).tolist()]
    table = table.plus(["twice-differs"] * 3, differs)
    expected: list[tuple[str | None, str]] = [(item, reason) for item, (_, reason) in bad.items()]
    expected += [(None, "null_id")] * 2 + [("twice-equal", "duplicate_id")] * 2 + [("twice-null", "duplicate_id")]
    expected += [("twice-differs", "duplicate_id")] * 2
    kept |= {"twice-equal": x[2], "twice-null": x[5]}
    if normalize == "l2":
        expected.append(("zero", "zero_norm"))
        kept["placeholder"] = np.array(placeholder, np.float32)
    else:
        expected.append(("placeholder", "too_large"))
        kept["zero"] = np.zeros(dim, np.float32)
    ordered = tuple(sorted(expected, key=lambda row: (row[0] or "", row[1])))
    return Messy(table.shuffled(3), ordered, kept, ("twice-differs",))


def write(rows: Rows | pa.Table, folder: Path, files: int = 1) -> str:
    """Write a folder of Parquet files."""
    table = rows.table() if isinstance(rows, Rows) else rows
    folder.mkdir(parents=True)
    step = max(1, -(-len(table) // files))
    for number in range(files):
        pq.write_table(table.slice(number * step, step), folder / f"part-{number:03d}.parquet")
    return str(folder)


def listing(folder: Path) -> dict[str, str]:
    """Every file below a folder with the hash of its content; empty where there is no folder."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    found = {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    folders = (path for path in folder.rglob("*") if path.is_dir())
    return found | {f"{path.relative_to(folder)}/": "" for path in folders}


def settings(*more: str, sets: Sequence[str] = SMALL) -> list[str]:
    """`--set` arguments of the command line."""
    return [argument for text in (*sets, *more) for argument in ("--set", text)]
