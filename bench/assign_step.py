"""What the assign step costs a row beside the scan alone, and beside a plain pandas_udf with FAISS of equal codes.

    python bench/assign_step.py [--rows 480000] [--dim 128] [--codes 256] [--rounds 3] [--work FOLDER]

Microseconds of processor time a row, of Java and the Python workers together, in one local session with one core; the
ways take turns, and the least of the rounds counts. Embeddings are lists of float or binary in Parquet; beam 4, L = 3.

    scan        the rows reach a Python worker, which counts them
    kernel      the same, and codes with margins are made of them
    assign      `drq_spark.assign`: checks, SIDs, margins, residual norms, sums for the figures, written as Parquet
    pandas_udf  np.stack of the cells, FAISS ResidualQuantizer with the same books and beam, codes written as Parquet

The first line says how many of 10,000 SIDs are the same as FAISS's.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

os.environ.pop("OPENBLAS_CORETYPE", None)
os.environ["OMP_NUM_THREADS"] = "1"  # read when the libraries are loaded, by the workers too
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"

sys.path.insert(0, str(Path(__file__).parent))
import faiss
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from training_scale import mixture

from drq_spark import fit
from drq_spark.arrays import F32
from drq_spark.assign.assignment import assign_items
from drq_spark.config import load_config
from drq_spark.inputs.embeddings import read_embeddings
from drq_spark.inputs.items import Catalogue, read_catalogue
from drq_spark.session import local_session
from drq_spark.ship import ship
from drq_spark.staging import Staging
from drq_spark.tokenizer import Tokenizer

_FILES = 4
_FIT = 20_000
_COMPARED = 10_000
_LEVELS, _BEAM = 3, 4


def write(x: F32, folder: Path, *, binary: bool) -> None:
    """Items as Parquet."""
    folder.mkdir()
    for number, rows in enumerate(np.array_split(np.arange(len(x)), _FILES)):
        part = np.ascontiguousarray(x[rows])
        if binary:
            width = 4 * part.shape[1]
            cells = pa.Array.from_buffers(pa.binary(width), len(part), [None, pa.py_buffer(part)]).cast(pa.binary())
        else:
            cells = pa.FixedSizeListArray.from_arrays(pa.array(part.ravel()), part.shape[1]).cast(
                pa.list_(pa.float32())
            )
        pq.write_table(pa.table({"item_id": rows, "embedding": cells}), folder / f"{number}.parquet")


def processor_seconds(root: int) -> float:
    """Of a process and all its descendants, those that have ended included."""
    parents: dict[int, list[int]] = {}
    spent: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        parents.setdefault(int(fields[1]), []).append(int(folder.name))
        spent[int(folder.name)] = sum(map(int, fields[11:15]))
    todo, total = [root], 0
    while todo:
        process = todo.pop()
        total += spent.get(process, 0)
        todo += parents.get(process, [])
    return total / os.sysconf("SC_CLK_TCK")


class Ways:
    """What is compared, over one table."""

    def __init__(self, spark: SparkSession, tokenizer: Tokenizer, items: Path, work: Path) -> None:
        self.spark, self.tokenizer, self.work = spark, tokenizer, work
        config = load_config(options={"items.path": str(items)})
        self.catalogue: Catalogue = read_catalogue(spark, config)

    def scan(self) -> None:
        """Rows reach Python."""

        def counted(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for batch in batches:
                yield pa.RecordBatch.from_pydict({"rows": [batch.num_rows]})

        self._embedded().mapInArrow(counted, "rows bigint").agg(F.sum("rows")).collect()

    def kernel(self) -> None:
        """Rows reach Python and are encoded."""
        shipped, dim = ship(self.spark, self.tokenizer), self.tokenizer.dim

        def encoded(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            tokenizer = shipped.value()
            for batch in batches:
                x = read_embeddings(batch.column("embedding"), dim, "none").x
                _, found = tokenizer.encode_prepared(x)
                yield pa.RecordBatch.from_pydict({"rows": [len(found.codes)]})

        self._embedded().mapInArrow(encoded, "rows bigint").agg(F.sum("rows")).collect()

    def assign(self) -> None:
        """The step of a run up to its SIDs."""
        assign_items(self.catalogue, self.tokenizer, Staging(str(self.work / "staging")))

    def pandas_udf(self) -> None:
        """What people write by hand."""
        books, codes = [book.astype(np.float32) for book in self.tokenizer.codebooks], self.tokenizer.codebook_sizes[0]

        @F.pandas_udf("array<int>")  # type: ignore[call-overload,untyped-decorator]
        def encode(column: pd.Series) -> pd.Series:
            first = column.iloc[0]
            matrix = np.stack(
                [np.frombuffer(row, np.float32) for row in column] if isinstance(first, bytes) else column
            )
            found = _residual_quantizer(books, codes).compute_codes(np.ascontiguousarray(matrix, np.float32))
            return pd.Series(list(_unpacked(found, codes)))

        self._embedded().select(encode("embedding").alias("codes")).write.mode("overwrite").parquet(
            str(self.work / "by_hand")
        )

    def _embedded(self) -> DataFrame:
        return self.catalogue.df.select("embedding")


def _residual_quantizer(books: Sequence[F32], codes: int) -> faiss.ResidualQuantizer:
    bits = int(np.log2(codes))
    quantizer = faiss.ResidualQuantizer(books[0].shape[1], len(books), bits)
    faiss.copy_array_to_vector(np.concatenate(books).ravel(), quantizer.codebooks)
    quantizer.is_trained, quantizer.max_beam_size, quantizer.use_beam_LUT = True, _BEAM, 1
    quantizer.compute_codebook_tables()
    return quantizer


def _unpacked(packed: np.ndarray, codes: int) -> np.ndarray:
    """Codes [n, L] of FAISS's bytes, for whole bytes a code."""
    assert codes == 256, "FAISS packs other codes across bytes"
    return packed.astype(np.int32)


def main() -> None:
    """Measure every way on both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("rows", 480_000), ("dim", 128), ("codes", 256), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--work", type=Path)
    arguments = parser.parse_args()
    x = mixture(arguments.rows, arguments.dim)
    # without prices, so that FAISS chooses as we do
    settings = {"tokenizer.beam": _BEAM, "tokenizer.balance": 0.0}
    tokenizer = fit(x[:_FIT], levels=_LEVELS, codes=arguments.codes, tokenizer="rq_kmeans", settings=settings)
    some = x[:_COMPARED]
    theirs = _unpacked(_residual_quantizer(tokenizer.codebooks, arguments.codes).compute_codes(some), arguments.codes)
    same = (tokenizer.codes(some) == theirs).all(axis=1).mean()
    print(f"{same:.4f} of {len(some):,} SIDs are those of FAISS")
    with tempfile.TemporaryDirectory(dir=arguments.work) as folder:
        work = Path(folder)
        spark = local_session(master="local[1]", scratch=work / "spark")
        print("embeddings  " + "  ".join(f"{name:>10}" for name in ("scan", "kernel", "assign", "pandas_udf")))
        for kind in ("lists", "binary"):
            write(x, work / kind, binary=kind == "binary")
            ways = Ways(spark, tokenizer, work / kind, work)
            turns: list[Callable[[], None]] = [ways.scan, ways.kernel, ways.assign, ways.pandas_udf]
            spent: list[list[float]] = [[] for _ in turns]
            for _ in range(arguments.rounds):
                for way, times in zip(turns, spent, strict=True):
                    before = processor_seconds(os.getpid())
                    way()
                    times.append((processor_seconds(os.getpid()) - before) / len(x) * 1e6)
            print(f"{kind:10}  " + "  ".join(f"{min(times):10.1f}" for times in spent), flush=True)
        spark.stop()


if __name__ == "__main__":
    main()
