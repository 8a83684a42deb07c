"""Beam encoding against a plain loop over all paths."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drq_spark.arrays import F64
from drq_spark.tokenizer import beam
from drq_spark.tokenizer.beam import search
from drq_spark.tokenizer.kernel import Level, nearest


def slow(
    row: F64, levels: list[Level], width: int, keep: int
) -> tuple[list[tuple[float, tuple[int, ...]]], list[float]]:
    """(cost, codes) of the `keep` cheapest paths, and the winner's margin per level, by sorting Python tuples."""
    kept: list[tuple[tuple[int, ...], F64, float, list[tuple[float, float]]]] = [((), row, 0.0, [])]
    for index, level in enumerate(levels):
        last = index == len(levels) - 1
        weight = np.ones(len(row)) if level.weight is None else level.weight.astype(np.float64)
        grown = []
        for codes, residual, paid, history in kept:
            for code in range(len(level.codewords)):
                left = residual - level.codewords[code]
                square = float((np.square(left * weight)).sum())
                cost = square + float(level.price[code]) + paid
                grown.append((cost, (*codes, code), left, paid + float(level.price[code]), square, history))
        grown.sort(key=lambda path: path[:2])
        stay = keep if last else width
        cut = grown[1 if last else stay] if len(grown) > (1 if last else stay) else None
        kept = []
        for cost, codes, left, paid, _, history in grown[:stay]:
            margin = 1.0 if cut is None else ((cut[0] - cost) / cut[4] if cut[4] > 0 else 0.0)
            kept.append((codes, left, paid, [*history, (margin, cost)]))
    return [(history[-1][1], codes) for codes, _, _, history in kept], [entry[0] for entry in kept[0][3]]


def books(rng: np.random.Generator, sizes: tuple[int, ...], dim: int, *, lattice: bool) -> list[Level]:
    """Codebooks with prices and weights; on a lattice everything is exact and ties abound."""
    levels = []
    for size in sizes:
        if lattice:
            words = rng.integers(-2, 3, (size, dim)).astype(np.float32)
            price = rng.integers(0, 3, size).astype(np.float32)
            weight = rng.choice([0.0, 0.5, 1.0], dim).astype(np.float32)
        else:
            words = rng.normal(size=(size, dim)).astype(np.float32)
            price = (0.2 * rng.normal(size=size)).astype(np.float32)
            weight = rng.uniform(0, 1, dim).astype(np.float32)
        levels.append(Level.prepare(words, price, weight))
    return levels


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**20),
    sizes=st.lists(st.integers(2, 7), min_size=1, max_size=4).map(tuple),
    width=st.integers(1, 9),
    keep=st.integers(1, 5),
    lattice=st.booleans(),
)
def test_equals_the_loop(seed: int, sizes: tuple[int, ...], width: int, keep: int, lattice: bool) -> None:
    rng = np.random.default_rng(seed)
    levels = books(rng, sizes, 3, lattice=lattice)
    rows = rng.integers(-4, 5, (12, 3)).astype(np.float64) if lattice else rng.normal(size=(12, 3)) * 2
    found = search(rows, levels, width, keep)
    for index, row in enumerate(rows):
        paths, margin = slow(row, levels, width, keep)
        assert [tuple(codes) for codes in found.codes[index].tolist()] == [codes for _, codes in paths]
        assert found.cost[index] == pytest.approx([cost for cost, _ in paths], rel=1e-12, abs=1e-12)
        assert found.margin[index] == pytest.approx(margin, rel=1e-6, abs=1e-6)


def test_a_beam_as_wide_as_all_paths_finds_the_best_of_all() -> None:
    rng = np.random.default_rng(1)
    levels = books(rng, (4, 5, 3), 6, lattice=False)
    rows = rng.normal(size=(40, 6))
    found = search(rows, levels, 20)
    last = levels[-1].weight
    assert last is not None
    for row, codes in zip(rows, found.codes[:, 0], strict=True):
        costs = {}
        for path in itertools.product(range(4), range(5), range(3)):
            left = row - sum(level.codewords[code].astype(np.float64) for level, code in zip(levels, path, strict=True))
            costs[path] = float(np.square(left * last).sum()) + sum(
                float(level.price[code]) for level, code in zip(levels, path, strict=True)
            )
        assert tuple(codes) == min(costs, key=lambda path: (costs[path], path))


def test_width_one_is_the_greedy_kernel() -> None:
    rng = np.random.default_rng(2)
    levels = books(rng, (16, 9, 12), 8, lattice=False)
    rows = rng.normal(size=(500, 8))
    found, residual = search(rows, levels, 1), rows
    for index, level in enumerate(levels):
        step = nearest(residual, level)
        residual = step.residual
        assert np.array_equal(found.codes[:, 0, index], step.code)
        assert np.allclose(found.margin[:, index], step.margin, rtol=1e-5, atol=1e-6)


def test_codes_do_not_depend_on_the_tile(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    levels = books(rng, (8, 8, 8), 16, lattice=True)
    rows = rng.integers(-4, 5, (300, 16)).astype(np.float64)
    whole = search(rows, levels, 4, keep=3)
    monkeypatch.setattr(beam, "_TILE_ELEMENTS", 2000)
    parts = search(rows, levels, 4, keep=3)
    for name in ("codes", "cost", "margin", "residual_square", "uncertain"):
        assert np.array_equal(getattr(whole, name), getattr(parts, name)), name
    assert whole.uncertain.sum() > 0


def test_order_of_rows_and_their_number_change_nothing() -> None:
    rng = np.random.default_rng(4)
    levels = books(rng, (32, 32), 20, lattice=False)
    rows = rng.normal(size=(257, 20))
    whole, order = search(rows, levels, 4), rng.permutation(257)
    assert np.array_equal(search(rows[order], levels, 4).codes, whole.codes[order])
    assert np.array_equal(search(rows[:1], levels, 4).codes, whole.codes[:1])
    assert search(rows[:0], levels, 4).codes.shape == (0, 1, 2)


@pytest.mark.parametrize("scale", [1e-30, 1e-12, 1e12, 1e30])
def test_extreme_scales_are_decided_in_float64(scale: float) -> None:
    rng = np.random.default_rng(5)
    levels = [Level.prepare((rng.normal(size=(6, 4)) * scale).astype(np.float32)) for _ in range(3)]
    rows = rng.normal(size=(30, 4)) * scale
    found = search(rows, levels, 3)
    for row, codes in zip(rows, found.codes[:, 0], strict=True):
        assert tuple(codes) == slow(row, levels, 3, 1)[0][0][1]


def test_near_ties_are_decided_exactly() -> None:
    """Codewords that differ by one unit of float32 far from the origin: float32 scores cannot tell them apart."""
    base = np.full((1, 8), 1000.0, np.float32)
    words = np.concatenate([np.nextafter(base, np.float32(2000)), base, np.nextafter(base, np.float32(0))])
    levels = [Level.prepare(words), Level.prepare(words - base + 0.25)]
    rows = np.random.default_rng(6).normal(size=(50, 8)) * 1e-4 + 1000.2
    found = search(rows, levels, 2)
    for row, codes in zip(rows, found.codes[:, 0], strict=True):
        assert tuple(codes) == slow(row, levels, 2, 1)[0][0][1]
    assert found.uncertain.sum() > 0


def test_the_bound_bounds_the_error_of_the_paths_scores() -> None:
    """Paths that have paid very different prices: a float32 of the difference is coarser than the distances are."""
    rng = np.random.default_rng(7)
    level = Level.prepare((0.1 * rng.normal(size=(6, 3))).astype(np.float32))
    residual, paid = 0.1 * rng.normal(size=(20, 3, 3)), np.array([0.0, 1e5, 1e6]) + rng.uniform(size=(20, 3))
    none = np.empty((20, 3, 0))
    scores, bound = beam._path_scores(
        beam._Beam(residual, paid, none.astype(np.int32), none, none, paid, paid[:, 0], 0.0), level
    )
    centred = level.centred(residual.reshape(60, 3))
    base = (np.square(centred).sum(axis=1).reshape(20, 3) + paid).min(axis=1)
    for row, (found, most) in enumerate(zip(scores.tolist(), bound.tolist(), strict=True)):
        for flat, score in enumerate(found):
            path, code = divmod(flat, 6)
            gaps = [
                Fraction(r) - Fraction(float(c))
                for r, c in zip(residual[row, path], level.codewords[code], strict=True)
            ]
            exact = sum((gap * gap for gap in gaps), Fraction(paid[row, path])) - Fraction(base[row])
            assert abs(Fraction(score) - exact) <= Fraction(most)
