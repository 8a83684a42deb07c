"""Ranking by int8, int16 and bfloat16 products in the certified search: rates, candidates, whole searches.

    python bench/low_precision.py [--catalogue drq_spark/data/packages_5k] [--rounds 15]

CPU time of one thread, ways in turn, the best of the rounds; only what the processor has (AVX-512 with VNNI, BF16). The
bound of what rounding changes, see `narrow_products`, is added to that of `score_bounds`. Books are `rq_kmeans` of half
the catalogue, and of 20,000 rows of the mixture of `training_scale.py`, rotated so that its coordinates are alike,
which suits integers best. Figures are of rows that the fit has not seen; beams have 4 paths. Three tables:

- products: what one tile of 1,024 rows and one book take, G multiply-adds/s and the ratio to sgemm;
- candidates: how many extensions are within the bound of the cheapest (greedy codes), of the second (greedy margins),
  of the fourth (beam), or of the fifth, where bases are float32's: mean, 90th percentile, and the share of rows that
  need no second look;
- whole searches: `now`, us a row and the share of the products; and how many times as fast others are. `alone`: the
  compiled search with these products and this bound, all else as it is, measured, its codes and margins compared to the
  bit. `looked up`: an estimate; the search without its products, and in their place the narrow ones and a pass that
  multiplies all candidates and bases again in float32, each measured.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import thread_time

from assign_kernel import Way, blas_in_use  # first: sets one thread before numpy is loaded

# isort: split
import numba
import numpy as np
import pyarrow.parquet as pq
import torch
from llvmlite import ir
from narrow_products import FORMS, Form, NarrowProduct, available_forms
from training_scale import mixture

import drq_spark
from drq_spark.arrays import F32, F64
from drq_spark.tokenizer.fast import llvm_vectors as v
from drq_spark.tokenizer.fast.fast_search import FastSearch
from drq_spark.tokenizer.fast.machine_code import vector_function
from drq_spark.tokenizer.fast.pass_arrays import aligned, placed
from drq_spark.tokenizer.fast.products import NumpyProducts
from drq_spark.tokenizer.fast.score_vectors import not_above
from drq_spark.tokenizer.kernel import Level

SHAPES = [(64, 256), (128, 256), (384, 256), (768, 256), (128, 1024), (128, 4096)]
LEVELS, TILE, SAMPLE, ROWS, PROBED, BEAM = 3, 1024, 20_000, 8192, 1024, 4


@dataclass(frozen=True)
class NarrowProducts(NumpyProducts):
    """Numpy's tiles, products in a narrow form; one for all levels, so that rows are rounded once."""

    form: Form = FORMS[0]
    long_row: int = 1

    def product(self, operand):
        """See `Multiplier`."""
        return NarrowProduct(operand, self.form)


class NarrowSearch(FastSearch):
    """The compiled search with narrow products, and a bound that holds for them: B takes in what rounding costs.

    What a row lost is a norm that the certificate reads for it: longer where the row lost more than `_usual` of it.
    """

    def __init__(self, levels, width: int, form: Form) -> None:
        super().__init__(levels, width, NarrowProducts(form=form))
        self._usual = form.usual_loss(levels[0].codewords.shape[1])
        made, self._own, carried = [], [], 0.0
        for ranking in self._tables.levels:
            product = NarrowProduct(ranking.operand, form)
            costs = self._usual * product.longest + (1 + self._usual) * product.lost_of_codes
            self._own.append(ranking.bound + np.array([0.0, costs, 0.0]))
            carried = costs + (carried if width > 1 else 0.0)
            made.append(ranking._replace(bound=ranking.bound + np.array([0.0, carried, 0.0])))
        self._tables = replace(self._tables, levels=tuple(made))

    def _products(self, room, index: int, count: int):
        products, norm = super()._products(room, index, count), room.beam.norm[:count]
        if index == 0 or not self._is_joined:
            lost = self._blocks[index][0].product.lost[:count]
            norm *= np.maximum(1, lost / np.maximum(self._usual * norm, 1e-30))
        return products

    def errors(self, index: int, zeta: F32) -> F64:
        """Bound on the errors of a level's scores, [n], where bases are float32's; of what is multiplied, [n, d]."""
        norm = np.linalg.norm(zeta.astype(np.float64), axis=1) * 1.000001
        lost = self._blocks[index][0].product.narrowed(zeta)[2]
        norm *= np.maximum(1, lost / np.maximum(self._usual * norm, 1e-30))
        bound = self._own[index]
        return bound[0] + bound[1] * norm + bound[2] * norm * norm


def multiply(search: FastSearch, rows: F32) -> None:
    """The products of a search, and nothing else; rows as they are multiplied, [n, d]."""
    room = search._room(len(rows))
    room.beam.norm[:] = 1
    for start in range(0, len(rows), room.rows):
        part = rows[start : start + room.rows]
        room.zeta[: len(part)] = part
        for index in range(LEVELS):
            search._products(room, index, len(part))


@vector_function("float32", x="int64", y="int64", vectors="int64")
def inner(b, x, y, vectors):
    """The inner product of two rows of float32."""
    loop = v.Loop(b, vectors, [ir.Constant(v.SCORES, [0.0] * 16)])
    here = b.shl(loop.i, v.number(6))
    one, other = (v.load(b, b.add(row, here), v.SCORES) for row in (x, y))
    (total,) = loop.close([b.fadd(loop.carried[0], b.fmul(one, other))])
    while total.type.count > 1:
        total = b.fadd(v.half(b, total, 0), v.half(b, total, 1))
    return b.extract_element(total, v.number(0, v.I32))


@numba.njit(nogil=True)
def look_up(scores, limit, certain, rows, book, found, out):
    """Find the scores up to the limit of their row; where they are more than `certain`, multiply the codewords anew."""
    scores_at, rows_at, book_at, found_at = scores.ctypes.data, rows.ctypes.data, book.ctypes.data, found.ctypes.data
    many, line, dim = scores.shape[1], rows.shape[1] * 4, rows.shape[1]
    for i in range(len(scores)):
        hits = not_above(scores_at + i * many * 4, many // 16, limit[i], found_at)
        if hits > certain:
            for h in range(hits):
                out[h] = inner(rows_at + i * line, book_at + (found[h] % len(book)) * line, dim // 16)


def best_of(ways: dict[str, Way], rounds: int) -> dict[str, float]:
    """Seconds of the best round of each."""
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(rounds):
        for name, way in ways.items():
            start = thread_time()
            way()
            best[name] = min(best[name], thread_time() - start)
    return best


def torch_ways(rows: F32, book: F32) -> dict[str, Way]:
    """Torch's products with operands that are rounded already."""
    wide, words = torch.from_numpy(rows), torch.from_numpy(book)
    narrow, turned = wide.bfloat16(), words.bfloat16().T
    bytes_, codes = (wide * 20).to(torch.int8), (words * 20).to(torch.int8).T
    out = torch.empty(len(rows), len(book), dtype=torch.bfloat16)
    sums = torch.empty(len(rows), len(book), dtype=torch.int32)
    return {
        "torch bf16": lambda: torch.mm(narrow, turned, out=out),
        "torch int8": lambda: torch._int_mm(bytes_, codes, out=sums),
    }


def rates(dim: int, size: int, rounds: int) -> dict[str, str]:
    """Of products with one book, G multiply-adds/s and the ratio to sgemm, by way."""
    rng = np.random.default_rng(0)
    rows, book = (placed(rng.normal(size=(many, dim))) for many in (TILE, size))
    operand, out = placed(book.T), aligned(TILE, size)
    ways: dict[str, Way] = {"sgemm": lambda: np.matmul(rows, operand, out=out)}
    for form in available_forms():
        product = NarrowProduct(operand, form)
        ways[form.name] = partial(product.multiply, product.narrowed(rows), out)
        ways[f"{form.name}, rounding too"] = partial(product, rows, out)
    if available_forms():
        ways |= torch_ways(rows, book)
    seconds = best_of(ways, 20 * rounds)
    done = TILE * dim * size / 1e9
    return {name: f"{done / best:.0f} ({seconds['sgemm'] / best:.2f})" for name, best in seconds.items()}


@dataclass(frozen=True)
class Case:
    """Books, and rows that their fit has not seen."""

    name: str
    levels: list[Level]
    rows: F32


def rotated(x: F32) -> F32:
    """The rows after a random rotation."""
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(x.shape[1], x.shape[1])))[0]
    return x @ turn.astype(np.float32)


def cases(catalogue: Path) -> Iterator[Case]:
    """The catalogue and the mixtures."""
    column = pq.read_table(catalogue / "items.parquet", columns=["embedding"])["embedding"]
    x = np.stack(column.to_numpy()).astype(np.float32)
    x = x[np.random.default_rng(0).permutation(len(x))]
    made = [(f"{catalogue.name}, {x.shape[1]}, 256", x, len(x) // 2, 256)]
    made += [(f"mixture, {dim}, {size}", dim, SAMPLE, size) for dim, size in SHAPES]
    for name, data, seen, size in made:
        x = rotated(mixture(SAMPLE + ROWS, data)) if isinstance(data, int) else data
        tokenizer = drq_spark.fit(x[:seen], codes=size, tokenizer="rq_kmeans", settings={"train.max_memory_gb": 1000})
        rows = x[seen:][: len(x[seen:]) // PROBED * PROBED]
        yield Case(name, [Level.prepare(book) for book in tokenizer.codebooks], placed(rows))


def walked(case: Case, width: int) -> Iterator[tuple[F64, F64]]:
    """Of each level for the first rows: costs of all extensions, [n, paths * K], and what the paths have left."""
    left = case.rows[:PROBED, None].astype(np.float64)
    for level in case.levels:
        book = level.codewords.astype(np.float64)
        cost = np.square(book).sum(axis=1) - 2 * left @ book.T + np.square(left).sum(axis=2)[:, :, None]
        cost = cost.reshape(PROBED, -1)
        yield cost, left
        chosen = np.argpartition(cost, width - 1, axis=1)[:, :width]
        left = left[np.arange(PROBED)[:, None], chosen // len(book)] - book[chosen % len(book)]


def candidates(case: Case, width: int, rival: int, form: Form, rounds: int) -> tuple[list[str], float]:
    """Of each level, how many extensions are left; and what looking them up takes, seconds a row."""
    search, cells, seconds = NarrowSearch(case.levels, width, form), [], 0.0
    tables = search._tables
    for index, (cost, left) in enumerate(walked(case, width)):
        wanted = (1 if index == LEVELS - 1 else width) + rival
        multiplied = placed(case.rows[:PROBED] - tables.centre if tables.crossed or index == 0 else left[:, 0])
        limit = np.partition(cost, wanted - 1, axis=1)[:, wanted - 1] + 2 * search.errors(index, multiplied)
        many = (cost <= limit[:, None]).sum(axis=1)
        cells.append(f"{many.mean():.1f} / {np.quantile(many, 0.9):.0f} / {(many <= wanted).mean():.0%}")
        least = cost.min(axis=1)
        scores, highest = placed(cost - least[:, None]), (limit - least).astype(np.float32)
        found, out = np.empty(scores.shape[1] + 16, np.int32), np.empty(scores.shape[1] + 16, np.float32)
        book = placed(case.levels[index].codewords)
        certain = wanted if width == 1 or index == LEVELS - 1 else 0  # what is kept is a base, and looked up as well
        way = partial(look_up, scores, highest, certain, multiplied, book, found, out)
        seconds += best_of({"": way}, rounds)[""] / PROBED
    return cells, seconds


def searches(case: Case, width: int, rounds: int) -> dict[str, float]:
    """Seconds a row of whole searches and of their products; codes and margins must be the same."""
    made = {"f32": FastSearch(case.levels, width)}
    made |= {form.name: NarrowSearch(case.levels, width, form) for form in available_forms()}
    known, ways = made["f32"].encode(case.rows, reach=False), dict[str, Way]()
    for name, search in made.items():
        again = search.encode(case.rows, reach=False)
        same = (again.codes == known.codes).all() and (search.codes(case.rows) == known.codes).all()
        if not (same and (again.margin == known.margin).all()):
            raise SystemExit(f"{case.name}: codes or margins by {name} products differ")
        ways[f"{name} 0"] = partial(search.codes, case.rows)
        ways[f"{name} 1"] = partial(search.encode, case.rows, reach=False)
        ways[f"{name} products"] = partial(multiply, search, case.rows)
    return {name: seconds / len(case.rows) for name, seconds in best_of(ways, rounds).items()}


def report(case: Case, rounds: int) -> tuple[list[str], list[str]]:
    """Lines of the second and of the third table."""
    counted, timed = [], []
    for width in (1, BEAM):
        best = searches(case, width, rounds)
        for rival in (0, 1):
            whole, bare = best[f"f32 {rival}"], best["f32 products"]
            what = f"{case.name} | {'greedy' if width == 1 else f'beam {width}'}{', margins' if rival else ''}"
            cells = [f"{whole * 1e6:.2f} ({bare / whole:.0%})"]
            for form in available_forms():
                left, looking = candidates(case, width, rival, form, rounds)
                counted.append(f"| {what} | {form.name} | {' | '.join(left)} |")
                guess = whole - bare + best[f"{form.name} products"] + looking
                cells.append(f"{whole / best[f'{form.name} {rival}']:.2f} / {whole / guess:.2f}")
            timed.append(f"| {what} | {' | '.join(cells)} |")
    return counted, timed


def head(*columns: str) -> str:
    """The first two lines of a table."""
    return f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--catalogue", type=Path, default=Path("drq_spark/data/packages_5k"))
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    names = [form.name for form in available_forms()]
    print(f"numpy's BLAS: {dict(blas_in_use())}; this processor multiplies {', '.join(names) or 'in float32 alone'}\n")
    for dim, size in SHAPES:
        cells = rates(dim, size, arguments.rounds)
        if (dim, size) == SHAPES[0]:
            print(head("d, K", *cells))
        print(f"| {dim}, {size} | {' | '.join(cells.values())} |", flush=True)
    made = [report(case, arguments.rounds) for case in cases(arguments.catalogue)]
    print("\n" + head("data, d, K", "search", "by", *(f"level {level + 1}" for level in range(LEVELS))))
    print("\n".join(line for counted, _ in made for line in counted))
    print("\n" + head("data, d, K", "search", "now", *(f"{name}: alone / looked up" for name in names)))
    print("\n".join(line for _, timed in made for line in timed))


if __name__ == "__main__":
    main()
