"""What `drq export faiss` finds: recall of search by SIDs against exact search among the embeddings.

    python bench/faiss_recall.py [--codes 256] [--levels 2 3 4] [--queries 500]

The bundled catalogue; queries are items that are neither trained on nor in the index. For each number of levels: bytes
of an item in the index, recall@10 and @100 of the exact ten nearest embeddings, and the share of ten that an exact
search among the vectors that the SIDs stand for finds, too: below 1 only where distances are equal within rounding.
"""

from __future__ import annotations

import argparse
from importlib.resources import files

import faiss
import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from drq_spark.arrays import F32
from drq_spark.config import load_config
from drq_spark.export.faiss_index import add_codes, empty_index, vectors_of
from drq_spark.sample.values import Sample
from drq_spark.train.driver import train_tokenizer

_NEAREST = 10


def catalogue() -> F32:
    """Embeddings of the bundled catalogue, float32 [n, D]."""
    column = pq.read_table(str(files("drq_spark") / "data" / "packages_5k" / "items.parquet"))["embedding"]
    return np.array(column.to_pylist(), np.float32)


def nearest(among: F32, queries: F32, count: int) -> NDArray[np.int64]:
    """Exact search by squared distance, int64 [queries, count]."""
    index = faiss.IndexFlatL2(among.shape[1])
    index.add(among)
    return np.asarray(index.search(queries, count)[1])


def shared(found: NDArray[np.int64], exact: NDArray[np.int64]) -> float:
    """Share of the exact ones that were found."""
    return float(np.mean([np.isin(right, some).mean() for some, right in zip(found, exact, strict=True)]))


def main() -> None:
    """Read the arguments and print a line for each number of levels."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--codes", type=int, default=256)
    parser.add_argument("--levels", type=int, nargs="*", default=[2, 3, 4])
    parser.add_argument("--queries", type=int, default=500)
    arguments = parser.parse_args()
    faiss.omp_set_num_threads(1)
    x = np.random.default_rng(0).permutation(catalogue())
    queries, items = x[: arguments.queries], x[arguments.queries :]
    exact = nearest(items, queries, _NEAREST)
    print(f"{len(items):,} items of {items.shape[1]} numbers ({4 * items.shape[1]} bytes)")
    for levels in arguments.levels:
        settings = {"tokenizer.name": "rq_kmeans", "tokenizer.levels": levels, "tokenizer.codes": arguments.codes}
        tokenizer = train_tokenizer(Sample(items, "0" * 16), load_config(options=settings))
        codes = tokenizer.encode(items).codes
        index = empty_index(vectors_of(tokenizer))
        add_codes(index, codes)
        found = np.asarray(index.search(queries, 100)[1])
        rebuilt = nearest(tokenizer.decode(codes).astype(np.float32), queries, _NEAREST)
        figures = [shared(found[:, :_NEAREST], exact), shared(found, exact), shared(found[:, :_NEAREST], rebuilt)]
        told = "  ".join(f"{figure:.3f}" for figure in figures)
        print(f"{levels} levels of {arguments.codes}: {index.code_size} bytes, @10 @100 as exact: {told}")


if __name__ == "__main__":
    main()
