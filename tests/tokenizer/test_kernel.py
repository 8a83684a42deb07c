"""The certified nearest codeword against a slow obvious reference, where float32 is right and where it is not."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from drq_spark.tokenizer import candidates, kernel
from drq_spark.tokenizer.kernel import Level, Nearest, nearest

TIMELESS = settings(deadline=None, max_examples=60)  # a busy machine may take long over a first call
pytestmark = pytest.mark.filterwarnings("error")  # no overflow or invalid value may reach the user's log


def slow_nearest(rows: np.ndarray, codewords: np.ndarray, price: np.ndarray | None) -> tuple[list, list, list]:
    """The definition in float64, one row and one code at a time: codes, margins, residuals."""
    prices = np.zeros(len(codewords)) if price is None else price.astype(np.float64)
    codes, margins, residuals = [], [], []
    for row in rows:
        gaps = [row - codeword.astype(np.float64) for codeword in codewords]
        squares = [float((gap * gap).sum()) for gap in gaps]
        costs = [square + float(extra) for square, extra in zip(squares, prices, strict=True)]
        best, second = sorted(range(len(costs)), key=lambda code: (costs[code], code))[:2]
        codes.append(best)
        margins.append((costs[second] - costs[best]) / squares[second] if squares[second] > 0 else 0.0)
        residuals.append(gaps[best])
    return codes, margins, residuals


def check(rows: np.ndarray, codewords: np.ndarray, price: np.ndarray | None = None) -> Nearest:
    """Codes, margins and residuals must equal the reference to the bit."""
    found = nearest(rows, Level.prepare(codewords, price))
    codes, margins, residuals = slow_nearest(rows, codewords, price)
    assert found.code.tolist() == codes
    assert found.margin.tolist() == np.array(margins, np.float32).tolist()
    assert found.residual.tolist() == [residual.tolist() for residual in residuals]
    return found


def plain_float32(rows: np.ndarray, codewords: np.ndarray) -> np.ndarray:
    """What a GEMM in float32 says, the usual way."""
    narrow = rows.astype(np.float32)
    return (np.square(codewords).sum(axis=1) - 2 * narrow @ codewords.T).argmin(axis=1)


def random_case(n: int, codes: int, dim: int, *, offset: float = 0.0, scale: float = 1.0, seed: int = 0):
    rng = np.random.default_rng(seed)
    codewords = (offset + scale * rng.normal(size=(codes, dim))).astype(np.float32)
    rows = (offset + scale * rng.normal(size=(n, dim))).astype(np.float32)
    return rows.astype(np.float64), codewords


def near_ties(relative: float, *, offset: float = 0.0, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Rows on the bisectors of neighbouring codewords, moved along the line between them by a relative distance."""
    rng = np.random.default_rng(seed)
    codewords = (offset + rng.normal(size=(24, 12))).astype(np.float32)
    wide = codewords.astype(np.float64)
    apart = np.square(wide[:, None] - wide).sum(axis=2)
    np.fill_diagonal(apart, np.inf)
    pairs = [(a, int(b)) for a, b in enumerate(apart.argmin(axis=1))]
    steps = [sign * relative for sign in (-1, 0, 1)]
    return np.array(
        [(wide[a] + wide[b]) / 2 + step * (wide[b] - wide[a]) for a, b in pairs for step in steps]
    ), codewords


@pytest.mark.parametrize(
    ("n", "codes", "dim"),
    [(200, 37, 9), (50, 2, 5), (60, 300, 1), (5, 8192, 3), (6, 3, 4096), (1, 2, 1), (70, 16, 129)],
)
def test_random_rows_get_the_nearest_codeword(n, codes, dim):
    check(*random_case(n, codes, dim))


def test_no_rows():
    found = nearest(np.empty((0, 4)), Level.prepare(np.eye(4, dtype=np.float32)))
    assert (found.code.shape, found.margin.shape, found.residual.shape, found.uncertain) == ((0,), (0,), (0, 4), 0)


def test_result_types():
    found = check(*random_case(3, 4, 5))
    assert (found.code.dtype, found.margin.dtype, found.residual.dtype) == (np.int32, np.float32, np.float64)


def test_exact_ties_go_to_the_lowest_code():
    grid = np.array([[x, y] for x in range(-2, 3) for y in range(-2, 3)], np.float32)
    halves = np.array([[x / 2, y / 2] for x in range(-5, 6) for y in range(-5, 6)])
    found = check(halves, grid)
    assert (found.margin == 0).sum() > 70
    backwards = check(halves, grid[::-1].copy())
    assert (found.code != 24 - backwards.code).any()  # the tie goes by number, not by place


def test_duplicated_codewords_go_to_the_first_copy_with_margin_0():
    rows, codewords = random_case(100, 7, 6)
    found = check(rows, np.concatenate([codewords, codewords, codewords]))
    assert found.code.max() < 7
    assert (found.margin == 0).all()


def test_a_codebook_of_one_point_gives_code_0():
    found = check(random_case(20, 2, 8)[0], np.ones((9, 8), np.float32))
    assert (found.code == 0).all()


def test_rows_that_are_codewords_have_no_residual():
    codewords = random_case(1, 30, 8)[1]
    found = check(codewords.astype(np.float64), codewords)
    assert found.code.tolist() == list(range(30))
    assert not found.residual.any()
    assert (found.margin == 1).all()


@pytest.mark.parametrize("relative", [1e-7, 1e-8, 1e-9, 1e-10, 1e-11, 1e-12])
def test_near_ties_are_decided_as_float64_would(relative):
    rows, codewords = near_ties(relative)
    found = check(rows, codewords)
    assert (plain_float32(rows, codewords) != found.code).sum() > 5  # float32 alone is wrong here
    assert found.uncertain == 0  # between two the float64 costs decide: no row needs a third
    assert found.margin.max() < 1


@pytest.mark.parametrize("relative", [1e-7, 1e-9, 1e-12])
def test_near_ties_of_many_codewords_are_decided_as_float64_would(relative):
    """Every codeword has seven more within rounding: the two best are not among float32's two best."""
    rng = np.random.default_rng(3)
    rows, codewords = near_ties(relative)
    crowd = np.repeat(codewords, 8, axis=0)
    crowd[np.arange(len(crowd)), rng.integers(0, 12, len(crowd))] *= np.float32(1 + 2e-7)
    found = check(rows, crowd[rng.permutation(len(crowd))])
    assert found.uncertain > len(rows) / 2


@pytest.mark.parametrize("relative", [1e-5, 1e-7, 1e-10])
def test_a_large_common_offset_costs_nothing(relative):
    rows, codewords = near_ties(relative, offset=1e3)
    found = check(rows, codewords)
    assert (plain_float32(rows, codewords) != found.code).sum() > 5
    far = random_case(80, 20, 10, offset=1e3)
    assert (plain_float32(*far) != check(*far).code).any()
    assert check(*far).uncertain == 0  # centred first: float32 has digits enough


@pytest.mark.parametrize("scale", [1e19, 1e30, 1e38, 1e-19, 1e-25, 1e-38, 1e-44])
def test_values_at_the_ends_of_float32(scale):
    check(*random_case(40, 12, 5, scale=min(scale, 8e37)))


def test_rows_beyond_float32():
    """A residual may be the difference of two numbers near the largest float32."""
    rows = np.array([[6e38, 3e38], [-6e38, 1.0], [6e38, -6e38]])
    check(rows, np.array([[1, 1], [-1e-6, 1], [1e-6, -1], [0, 0], [2, -2]], np.float32))
    check(rows, np.array([[3e38, 3e38], [-3e38, 3e38], [3e38, 1]], np.float32))
    # the row overflows, no score should: float32 says -inf, -inf for the last two, where float64 sees a tie of all
    check(rows[:1], np.array([[-1e-6, 1e-2], [1e-6, -1e-2], [1.1e-6, -1e-2]], np.float32))


@pytest.mark.parametrize("away", [1e8, 1e10, 1e12, 1e15, 1e30])
def test_rows_far_from_all_codewords(away):
    """There float64 costs themselves tie: what float32 leaves out must have lost in float64 too."""
    rows, codewords = random_case(40, 50, 4)
    check(rows * away, codewords)
    check(rows + away, codewords)


def test_huge_and_tiny_coordinates_together():
    rows, codewords = random_case(60, 20, 6)
    spread = np.array([1e18, 1.0, 1e-18, 1e9, 1e-30, 0.0])
    check(rows * spread, (codewords * spread).astype(np.float32))


@pytest.mark.parametrize("scale", [0.01, 1.0, 1e6])
def test_prices_are_part_of_the_cost(scale):
    rows, codewords = random_case(80, 20, 6)
    price = (scale * np.random.default_rng(5).normal(size=20)).astype(np.float32)
    found = check(rows, codewords, price)
    assert (found.margin != nearest(rows, Level.prepare(codewords)).margin).any()
    assert scale < 1 or (found.code != nearest(rows, Level.prepare(codewords)).code).any()


def test_prices_that_undo_the_distances():
    """Costs of a row at the centre are all nearly 0 although squares and prices are large."""
    codewords = (1e3 * random_case(1, 40, 6)[1]).astype(np.float32)
    codewords = np.concatenate([codewords, -codewords])
    price = -np.square(codewords.astype(np.float64)).sum(axis=1).astype(np.float32)
    check(np.random.default_rng(6).normal(size=(30, 6)) * 1e-9, codewords, price)


def test_a_price_can_outweigh_a_codeword_on_the_spot():
    found = check(np.array([[1.0]]), np.array([[1], [3]], np.float32), np.array([5, 0], np.float32))
    assert found.code.tolist() == [1]
    assert found.margin.tolist() == [0]  # the second best is at distance 0
    assert found.residual.tolist() == [[-2.0]]


NUMBERS = st.one_of(
    st.sampled_from([0.0, -0.0, 0.5, 1.0, -1.0, 1.0 + 2**-23, 1e-38, 1e19, -1e30, 3e38, 1e-45]),
    st.floats(-10, 10, width=32),
    st.floats(allow_nan=False, allow_infinity=False, width=32),
)


@TIMELESS
@given(st.data(), st.integers(1, 9), st.integers(2, 9), st.integers(1, 12), st.booleans())
def test_any_finite_values(data, n, codes, dim, priced):
    codewords = data.draw(hnp.arrays(np.float32, (codes, dim), elements=NUMBERS))
    rows = data.draw(hnp.arrays(np.float32, (n, dim), elements=NUMBERS)).astype(np.float64)
    price = data.draw(hnp.arrays(np.float32, codes, elements=st.floats(-100, 100, width=32))) if priced else None
    # a priced margin at next to no distance may overflow float32
    with np.errstate(over="ignore" if priced else "warn"), pytest.MonkeyPatch.context() as patch:
        patch.setattr(candidates, "PAIR_ELEMENTS", 7)
        check(rows, codewords, price)


@TIMELESS
@given(st.data(), st.integers(2, 12), st.integers(1, 6))
def test_margins_without_prices_are_shares(data, codes, dim):
    codewords = data.draw(hnp.arrays(np.float32, (codes, dim), elements=NUMBERS))
    rows = data.draw(hnp.arrays(np.float32, (8, dim), elements=NUMBERS)).astype(np.float64)
    found = nearest(rows, Level.prepare(codewords))
    assert ((found.margin >= 0) & (found.margin <= 1)).all()


def fingerprint(found: Nearest) -> str:
    parts = (found.code, found.margin, found.residual, found.reach)
    return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()


def ties_by_order(dim: int) -> tuple[np.ndarray, np.ndarray]:
    """Codewords with the same coordinates in another order, rows with all coordinates equal.

    All costs are equal but for rounding, so that the order of summation alone decides.
    """
    rng = np.random.default_rng(8)
    word = rng.normal(size=dim).astype(np.float32)
    return np.repeat(rng.normal(size=(100, 1)), dim, axis=1), np.array([rng.permutation(word) for _ in range(9)])


@pytest.fixture(scope="module")
def hard_case() -> tuple[np.ndarray, np.ndarray]:
    """Random rows, near ties and exact ties in one matrix."""
    rows, codewords = near_ties(1e-9)
    crowd = np.concatenate([codewords, codewords[:5] * np.float32(1 + 2e-7), codewords[:3], ties_by_order(12)[1]])
    random = np.random.default_rng(9).normal(size=(500, 12))
    return np.concatenate([rows, random, codewords, rows * 1e11, ties_by_order(12)[0]]), crowd


@pytest.mark.parametrize("dim", [3, 12, 200])
def test_ties_that_rounding_decides_are_decided_by_the_order_of_numpy(dim):
    assert len(set(check(*ties_by_order(dim)).code.tolist())) > 2


@pytest.mark.parametrize(("tile", "pairs"), [(1, 1), (24 * 17, 50), (2**18, 2**22), (2**24, 2**10)])
def test_tiles_do_not_show(monkeypatch, hard_case, tile, pairs):
    rows, codewords = hard_case
    whole = fingerprint(nearest(rows, Level.prepare(codewords)))
    monkeypatch.setattr(kernel, "_TILE_ELEMENTS", tile)
    monkeypatch.setattr(candidates, "PAIR_ELEMENTS", pairs)
    assert fingerprint(nearest(rows, Level.prepare(codewords))) == whole


@pytest.mark.parametrize("size", [1, 2, 13, 400])
def test_batches_do_not_show(hard_case, size):
    rows, codewords = hard_case
    level = Level.prepare(codewords)
    whole = nearest(rows, level)
    parts = [nearest(rows[start : start + size], level) for start in range(0, len(rows), size)]
    names = ("code", "margin", "residual", "reach")
    joined = Nearest(*(np.concatenate([getattr(part, name) for part in parts]) for name in names), 0)
    assert fingerprint(joined) == fingerprint(whole)


def test_the_order_of_rows_does_not_show(hard_case):
    rows, codewords = hard_case
    order = np.random.default_rng(4).permutation(len(rows))
    whole, shuffled = (nearest(x, Level.prepare(codewords)) for x in (rows, rows[order]))
    assert fingerprint(shuffled) == fingerprint(
        Nearest(whole.code[order], whole.margin[order], whole.residual[order], whole.reach[order], 0)
    )


def test_the_memory_layout_does_not_show():
    """numpy adds up a row that is not contiguous in another order, which would move float64 ties."""
    rows, codewords = ties_by_order(64)
    whole = fingerprint(nearest(rows, Level.prepare(codewords)))
    assert fingerprint(nearest(np.asfortranarray(rows), Level.prepare(np.asfortranarray(codewords)))) == whole
    doubled = np.repeat(rows, 2, axis=1)[:, ::2]
    assert fingerprint(nearest(doubled, Level.prepare(codewords))) == whole
    assert nearest(np.asfortranarray(rows), Level.prepare(codewords)).residual.flags.c_contiguous


THREADED = """
import hashlib, numpy as np
from drq_spark.tokenizer.kernel import Level, nearest
rng = np.random.default_rng(0)
word = rng.normal(size=192).astype(np.float32)
codewords = np.concatenate([rng.normal(size=(480, 192)).astype(np.float32), [rng.permutation(word) for _ in range(32)]])
rows = np.concatenate([rng.normal(size=(2000, 192)), np.repeat(rng.normal(size=(200, 1)), 192, axis=1)])
found = nearest(rows, Level.prepare(codewords))
parts = (found.code, found.margin, found.residual, found.reach)
print(hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest())
"""


def test_threads_do_not_show():
    replies = []
    for threads in ("1", "2"):
        limits = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), threads)
        command = [sys.executable, "-c", THREADED]
        reply = subprocess.run(command, env={**os.environ, **limits}, capture_output=True, text=True, check=False)
        assert reply.returncode == 0, reply.stderr
        replies.append(reply.stdout)
    assert replies[0] == replies[1]


def exact_scores(rows: np.ndarray, level: Level) -> list[list[Fraction]]:
    """||w (r - c)||^2 - ||w r - m||^2 + b without any rounding, m the centre that the level uses."""
    centre = [Fraction(float(value)) for value in level.centre]
    weight = [Fraction(float(w)) for w in (np.ones(len(centre)) if level.weight is None else level.weight)]
    centred, books = (
        [[Fraction(float(v)) * w - m for v, w, m in zip(row, weight, centre, strict=True)] for row in matrix]
        for matrix in (rows, level.codewords)
    )
    return [
        [
            sum(c * c - 2 * r * c for r, c in zip(row, book, strict=True)) + Fraction(float(price))
            for book, price in zip(books, level.price, strict=True)
        ]
        for row in centred
    ]


CANCELLING = np.array([[4096.0, -4096.0, 4096.0001, -4096.0, 1.0, 1e-3]] * 4) * np.array([[1], [-1], [1.3], [0.7]])


@pytest.mark.parametrize(
    ("rows", "codewords"),
    [
        random_case(6, 8, 16),
        random_case(6, 8, 16, offset=1e3),
        random_case(6, 8, 16, scale=1e15),
        random_case(6, 8, 16, scale=1e-19),
        random_case(6, 8, 16, scale=1e-30),
        random_case(6, 8, 5, scale=1e-44),
        (CANCELLING, np.abs(CANCELLING).astype(np.float32)),
        (np.ones((2, 64)), np.outer([1, 3], np.full(64, 1 + 2.0**-12)).astype(np.float32)),
        (random_case(6, 8, 16)[0] * 1e10, random_case(6, 8, 16)[1]),
        (random_case(6, 8, 16)[1].mean(axis=0, dtype=np.float64)[None], random_case(6, 8, 16)[1]),
    ],
)
@pytest.mark.parametrize("priced", [False, True])
def test_the_bound_bounds_the_error_of_float32(rows, codewords, priced):
    price = np.linspace(-2, 3, len(codewords), dtype=np.float32) if priced else None
    level = Level.prepare(codewords, price)
    check_bound(level.scores(level.centred(rows)), rows, level)


def check_bound(scores: np.ndarray, rows: np.ndarray, level: Level) -> None:
    """No score is further from the exact one than the bound says."""
    centred = level.centred(rows)
    bound = level.score_error(np.sqrt((centred * centred).sum(axis=1)))
    for row, exact, most in zip(scores.tolist(), exact_scores(rows, level), bound.tolist(), strict=True):
        assert all(abs(Fraction(score) - true) <= Fraction(most) for score, true in zip(row, exact, strict=True))


@pytest.mark.parametrize("dim", [8, 64, 256])
def test_the_bound_holds_for_the_worst_order_of_summation(dim):
    """One long term first, and then all others lost, each by half a unit of what is there: no BLAS may do worse."""
    word = np.full(dim, 2.0**-12, np.float32)
    word[0] = 1
    level, rows = Level.prepare(np.array([word, -word])), word[None].astype(np.float64)
    scores = np.empty((1, 2), np.float32)
    for code, column in enumerate(level.gemm.T):
        total = np.float32(0)
        for x, c in zip(word, column, strict=True):
            total = np.float32(total + np.float32(x * c))
        scores[0, code] = np.float32(total + level.offset[code])
    assert abs(Fraction(float(scores[0, 0])) - exact_scores(rows, level)[0][0]) > Fraction((dim - 4) * 2.0**-23)
    check_bound(scores, rows, level)


def test_the_bound_holds_for_weighed_rows_far_from_the_origin():
    """Weighing rounds a row before the centre is taken off: an error of the size of the centre, not of what is left."""
    rng = np.random.default_rng(11)
    weight = rng.uniform(0.5, 1, 4).astype(np.float32)
    codewords = (2.0**20 + rng.normal(size=(12, 4))).astype(np.float32)
    bare = Level.prepare(codewords, None, weight)
    level = Level.prepare(codewords, (-bare.offset).astype(np.float32), weight)  # prices that undo the distances
    rows = bare.centre / weight.astype(np.float64) * (1 + 2.0**-50 * rng.integers(-9, 10, (30, 4)))
    check_bound(level.scores(level.centred(rows)), rows, level)


def test_the_bound_is_not_so_wide_that_it_says_nothing():
    """On ordinary data hardly a row needs float64 candidates."""
    rows, codewords = random_case(2000, 64, 32)
    assert nearest(rows, Level.prepare(codewords)).uncertain < 20


@pytest.mark.parametrize(
    ("codewords", "price"),
    [
        (np.zeros((1, 3), np.float32), None),
        (np.zeros((4, 3)), None),
        (np.zeros(4, np.float32), None),
        (np.full((4, 3), np.nan, np.float32), None),
        (np.full((4, 3), np.inf, np.float32), None),
        (np.zeros((4, 3), np.float32), np.zeros(3, np.float32)),
        (np.zeros((4, 3), np.float32), np.full(4, np.nan, np.float32)),
    ],
)
def test_refuses_what_is_not_a_codebook(codewords, price):
    with pytest.raises(ValueError, match="codewords"):
        Level.prepare(codewords, price)
