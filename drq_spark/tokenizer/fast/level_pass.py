"""One level for a tile of rows: ranks all extensions, certifies the lowest or decides them, and keeps them."""

from __future__ import annotations

import numpy as np

from drq_spark.arrays import F32, I32, I64
from drq_spark.tokenizer.candidates import UNIT
from drq_spark.tokenizer.fast.exact_squares import decide, path_square
from drq_spark.tokenizer.fast.machine_code import compiled, inlined
from drq_spark.tokenizer.fast.pass_arrays import BEAM, BOOKS, RANKING, ROWS, Beam, Books, Ranking
from drq_spark.tokenizer.fast.ranking_pass import LIST_BYTES, add_path, number_bits, rank_only_path, score_anew
from drq_spark.tokenizer.fast.score_vectors import not_above, pull

MOST = 14  # keys that are pulled out of the lists of a row; wider beams than 12 are for numpy
_FINITE = 3e38  # a key from here on means that the lists hold fewer scores than are wanted
_HIGHEST_BASE = 1e37  # beyond, adding a base may overflow
_INFINITE = np.float32(np.inf)


@inlined
def _sort_by_score(chosen: I32, key: F32, scores: F32, exact: int) -> None:
    """Full scores in the place of the first `exact` keys, and both in their order; they are nearly in it."""
    for w in range(exact):
        place, q = chosen[w], w
        value = scores[place]
        while q > 0 and value < key[q - 1]:
            chosen[q], key[q] = chosen[q - 1], key[q - 1]
            q -= 1
        chosen[q], key[q] = place, value


@inlined
def _sort_by_place(chosen: I32, kept: int) -> None:
    """The first `kept` in the order of their codes."""
    for w in range(1, kept):
        place, q = chosen[w], w
        while q > 0 and chosen[q - 1] > place:
            chosen[q] = chosen[q - 1]
            q -= 1
        chosen[q] = place


@inlined
def _apart(key: F32, kept: int, spread: float, bound: float) -> bool:
    """Whether the cheapest dropped extension is certain to cost more than the dearest kept one."""
    high, low = np.float64(key[kept]), np.float64(key[kept - 1])
    return bool(high - low - spread * (abs(high) + abs(low)) > 2 * bound)


@inlined
def _lay_path(
    path: I64, words_at: int, bytes_a_word: int, first: I64, codes: I32, i: int, p: int, level: int, word: int
) -> None:
    """Addresses of the codewords of path p of row i, and of the one that extends it."""
    for j in range(level):
        path[j] = words_at + (first[j] + codes[i, p, j]) * bytes_a_word
    path[level] = words_at + word * bytes_a_word


@compiled(
    "int64", "float32[:, ::1]", "int64", "boolean", RANKING, "int64", "int64", "int64", "int64", "int64", "boolean",
    "boolean", ROWS, BOOKS, BEAM, "float32[::1]", "float32[:, ::1]", "boolean", "float32[:, ::1]",
)  # fmt: skip
def extend(
    scored: F32, column: int, per_path: bool, ranking: Ranking, size: int, level: int, paths: int, keep: int,
    exact: int, rebase: bool, measure: bool, z: F32, books: Books, beam: Beam, scores: F32, lists: F32, ranked: bool,
    zeta: F32,
) -> int:  # fmt: skip
    """Extend the paths of n rows by the codes of a level, in place; how many rows float32 could not decide.

    Args:
        scored, column: Products with the operand, from a column on: of n rows, or of n * paths where they are
            `per_path`.
        ranking: What the scores need, see `Ranking`.
        size, level, paths: K, which level (from 0), and how many paths a row has.
        keep: How many extensions stay.
        exact: How many must be known to be the cheapest: keep, or keep + 1 where the cheapest dropped one is asked for.
        rebase: Whether the next level needs the costs of paths anew in float64, for it has another metric.
        measure: Whether the cost of the dearest kept extension is asked for.
        z, books, beam: The rows, the codebooks, and the paths.
        scores: Room for paths * padded scores.
        lists: Room for the keys of a row; with `ranked`, the keys of every row, by `ranking_pass.rank_block`.
        ranked: Whether the keys are there and the products gone.
        zeta: What was multiplied, [n, d].
    """
    first, price, plan = books.first, books.price, books.plan
    codes, base, loose, paid, rival, norm = beam.codes, beam.base, beam.loose, beam.paid, beam.rival, beam.norm
    n, padded = z.shape[0], ranking.offset.shape[0]
    vectors, width = padded // 16, scored.shape[1]
    exact = min(exact, paths * size)
    kept = min(keep, exact)
    wanted = min(exact + 1, paths * size)
    bits = number_bits(paths * vectors)
    mask, coarse = np.int32(-(1 << bits)), 1.01 * 2.0 ** (bits - 23)
    found, cost = np.empty(paths * padded + 16, np.int32), np.empty(paths * padded + 16, np.float64)
    chosen, key = np.empty(MOST, np.int32), np.empty(MOST, np.float32)
    added, path, stack = np.empty(64, np.int64), np.empty(64, np.int64), np.empty(64)
    words_at, bytes_a_word = books.words.ctypes.data, z.shape[1] * 4
    weight_at = books.weights.ctypes.data + level * bytes_a_word if books.weights.shape[0] else 0
    next_weight_at = weight_at + bytes_a_word if weight_at else 0
    no_tables = ranking.starts.shape[0] == 0
    terms = 1 if no_tables else level
    only = keep == 1 and paths == 1
    unkept = only and terms <= 3  # scores are not written
    depth = 2 if unkept and wanted <= 2 and not ranked else 3
    deep = wanted <= depth or paths * vectors <= depth  # no list of a lane can run out
    bound_0, bound_1, bound_2, largest = ranking.bound[0], ranking.bound[1], ranking.bound[2], ranking.largest[0]
    new_codes, new_base, new_paid = np.empty((keep, level + 1), np.int32), np.empty(keep), np.empty(keep)
    end = rival.shape[2] - 1
    if no_tables:
        added[0] = ranking.offset.ctypes.data
    # An array counts who holds it, also who asks for its address: not once a row.
    rows_at, scored_at, tables_at, scores_at = (
        z.ctypes.data,
        scored.ctypes.data,
        ranking.tables.ctypes.data,
        scores.ctypes.data,
    )
    lists_at, added_at, path_at = lists.ctypes.data, added.ctypes.data, path.ctypes.data
    found_at, chosen_at, key_at = found.ctypes.data, chosen.ctypes.data, key.ctypes.data
    undecided = 0
    for i in range(n):
        highest = np.float32(0)
        z_at = rows_at + i * bytes_a_word
        kept_lists = lists_at + (i * LIST_BYTES if ranked else 0)
        for p in range(0 if ranked else paths):
            if not no_tables:
                for j in range(level):
                    added[j] = tables_at + ((ranking.starts[j] + np.int64(codes[i, p, j]) * padded) * 4)
            g = scored_at + ((i * paths + p if per_path else i) * width + column) * 4
            if unkept:
                rank_only_path(g, added_at, terms, depth, mask, vectors, kept_lists)
            else:
                highest = max(highest, base[i, p])
                add_path(
                    scores_at + p * padded * 4, g, added_at, terms, base[i, p],
                    np.int32(p * vectors), mask, vectors, kept_lists,
                )  # fmt: skip
        loose[i] += 4 * UNIT * np.float64(highest)
        bound = bound_0 + bound_1 * norm[i] + bound_2 * norm[i] * norm[i] + loose[i]
        faults, known = 0, False
        if norm[i] < largest and highest < _HIGHEST_BASE and wanted <= MOST:
            faults = pull(kept_lists, wanted, mask, chosen_at, key_at)
            known = key[exact - 1] < _FINITE
        hits = certain = 0
        if known:
            if not unkept:
                _sort_by_score(chosen, key, scores, exact)
            spread = coarse if unkept else 0.0
            top = np.float64(key[exact - 1])
            inside = top + spread * abs(top) + 2 * bound
            outside = np.float64(key[wanted - 1])
            outside -= coarse * abs(outside)
            if wanted == exact:
                outside = np.inf
            complete = faults == 0 or (faults == 1 and deep)
            if not (outside > inside and complete):
                if ranked:
                    score_anew(zeta, i, ranking.operand, ranking.offset, scores)
                elif unkept:
                    add_path(
                        scores_at, scored_at + (i * width + column) * 4, added_at, terms,
                        np.float32(0), np.int32(0), mask, vectors, kept_lists,
                    )  # fmt: skip
                limit = np.nextafter(np.float32(inside), _INFINITE)
                hits = not_above(scores_at, paths * vectors, limit, found_at)
                if hits == exact:
                    hits = 0
            if hits == 0 and exact > kept and not _apart(key, kept, spread, bound):
                hits = exact
                for w in range(exact):
                    found[w] = chosen[w]
            if hits and complete:  # who is below all from the first dropped one on by twice the bound needs no float64
                border = outside
                if exact > kept:
                    border = min(outside, np.float64(key[kept]) - spread * abs(np.float64(key[kept])))
                while certain < kept:
                    score = np.float64(key[certain])
                    if not score + spread * abs(score) + 2 * bound < border:
                        break
                    certain += 1
        else:
            hits = paths * padded
            for h in range(hits):
                found[h] = h
        if hits:
            undecided += hits > exact or not known
            decide(
                z_at, books, codes[i], paid[i], level, padded, size, found, hits, cost, certain,
                exact, chosen, path, stack,
            )  # fmt: skip
        if rebase:
            loose[i] = 0.0
        rival[i, level, end] = exact > kept
        if exact > kept:
            p = chosen[kept] // padded
            for j in range(level):
                rival[i, level, j] = codes[i, p, j]
            rival[i, level, level] = chosen[kept] % padded
        if only:
            codes[i, 0, level] = chosen[0]
            continue
        if measure:
            near, dearest = 0 if hits else kept - 1, -np.inf
            while hits == 0 and near > 0 and np.float64(key[kept - 1]) - np.float64(key[near - 1]) <= 2 * bound:
                near -= 1
            for w in range(near, kept):  # all that may be the dearest
                p, code = chosen[w] // padded, first[level] + chosen[w] % padded
                _lay_path(path, words_at, bytes_a_word, first, codes, i, p, level, code)
                square = path_square(z_at, path_at, level + 1, weight_at, plan, stack)
                dearest = max(dearest, (square + np.float64(price[code])) + paid[i, p])
            beam.dearest[i, level] = dearest
        _sort_by_place(chosen, kept)
        lowest = np.inf
        for w in range(kept):
            p, code = chosen[w] // padded, chosen[w] % padded
            new_codes[w, level] = code
            for j in range(level):
                new_codes[w, j] = codes[i, p, j]
            new_paid[w] = paid[i, p] + np.float64(price[first[level] + code])
            if rebase and kept > 1:
                _lay_path(path, words_at, bytes_a_word, first, codes, i, p, level, first[level] + code)
                new_base[w] = new_paid[w] + path_square(z_at, path_at, level + 1, next_weight_at, plan, stack)
            else:
                new_base[w] = np.float64(scores[chosen[w]])
            lowest = min(lowest, new_base[w])
        for w in range(kept):
            for j in range(level + 1):
                codes[i, w, j] = new_codes[w, j]
            paid[i, w], base[i, w] = new_paid[w], np.float32(new_base[w] - lowest)
    return undecided
