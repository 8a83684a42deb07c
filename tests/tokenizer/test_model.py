"""The tokenizer value: encoding, decoding, what it refuses, and the unit of sigma."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizer.samples import behaving, full, network, pattern, plain, rows

from drq_spark.errors import ConfigError
from drq_spark.tokenizer import Encoding, Tokenizer, encoding
from drq_spark.tokenizer.beam import search
from drq_spark.tokenizer.latent_unit import effective_rms
from drq_spark.tokenizer.model import normalized
from drq_spark.tokenizer.network import ResidualMLP, silu

TIMELESS = settings(deadline=None, max_examples=50)
pytestmark = pytest.mark.filterwarnings("error")


def rms(latents: np.ndarray) -> float:
    return effective_rms(latents, [None])[0]


def by_hand(tokenizer: Tokenizer, latents: np.ndarray) -> tuple[list[list[int]], list[list[float]]]:
    """Codes and squared residuals of latents by the definition, row by row."""
    codes, squares = [], []
    for latent in latents.astype(np.float64):
        residual, chosen, left = latent, [], []
        for level, book in enumerate(tokenizer.codebooks):
            price = tokenizer.prices[level] if tokenizer.prices else np.zeros(len(book))
            costs = [((residual - word) ** 2).sum() + float(extra) for word, extra in zip(book, price, strict=True)]
            chosen.append(int(np.argmin(costs)))
            residual = residual - book[chosen[-1]]
            left.append(float((residual * residual).sum()))
        codes.append(chosen)
        squares.append(left)
    return codes, squares


@pytest.mark.parametrize("tokenizer", [plain(), plain(normalize="l2"), full(), full(prices=None), full(tables=None)])
def test_encoding_is_the_definition(tokenizer):
    x = rows(40)
    latents = tokenizer.latent(tokenizer.prepare_input(x))
    found = tokenizer.encode(x)
    codes, squares = by_hand(tokenizer, latents)
    assert found.codes.tolist() == codes
    assert found.residual_square.tolist() == squares
    assert found.codes.dtype == np.int32
    assert found.margin.dtype == np.float32
    assert found.margin.shape == (40, 3)
    assert found.uncertain.shape == (3,)


def test_prices_decide():
    with_prices = full(prices=tuple(pattern(size, start=9, scale=1 / 16) for size in (8, 5, 4)))
    assert (with_prices.encode(rows(40)).codes != full(prices=None).encode(rows(40)).codes).any()


@pytest.mark.parametrize("tokenizer", [plain(), full(), full(tables=None), full(decoder=None, dim=3, encoder=None)])
def test_decoding_is_the_sum_of_the_tables_through_the_decoder(tokenizer):
    codes = tokenizer.encode(rows(30, tokenizer.dim)).codes
    tables = tokenizer.tables or tokenizer.codebooks
    latent = np.array(
        [sum(table[code].astype(np.float64) for table, code in zip(tables, row, strict=True)) for row in codes]
    )
    assert tokenizer.decode_latent(codes).tolist() == latent.tolist()
    decoded = latent if tokenizer.decoder is None else tokenizer.decoder(latent)
    assert tokenizer.decode(codes).tolist() == decoded.tolist()


def test_decoding_depends_on_the_codes_alone():
    """Equal SIDs of different items, in any batch, get the same x_hat; encoding in between changes nothing."""
    tokenizer = full()
    codes = tokenizer.encode(rows(30)).codes
    before = tokenizer.decode(codes)
    tokenizer.encode(rows(30) + 1)
    assert tokenizer.decode(codes).tolist() == before.tolist()
    equal = np.repeat(codes[:1], 5, axis=0)
    assert len(np.unique(tokenizer.decode(equal), axis=0)) == 1
    backwards = tokenizer.decode(codes[::-1])[::-1]
    np.testing.assert_allclose(backwards, before, rtol=1e-13)


def test_sums_of_codewords_come_back():
    """Where levels differ in size by far, the SID of a reconstruction is the SID, and it has no residual."""
    books = tuple(pattern(size, 6, start=level, scale=100.0**-level) for level, size in enumerate((8, 5, 4)))
    tokenizer = plain(codebooks=books)
    codes = tokenizer.encode(rows(50) * 64).codes
    again = tokenizer.encode_latent(tokenizer.decode_latent(codes).astype(np.float32))
    assert again.codes.tolist() == codes.tolist()
    assert again.residual_square[:, -1].max() < 1e-9


def test_blocks_do_not_show(monkeypatch):
    tokenizer, x = full(), rows(100)
    whole = tokenizer.encode(x)
    monkeypatch.setattr(encoding, "_BLOCK_ELEMENTS", 21)  # 7 rows
    parts = tokenizer.encode(x)
    for name in ("codes", "margin", "residual_square"):
        assert getattr(parts, name).tobytes() == getattr(whole, name).tobytes(), name
    assert rms(x) == pytest.approx(spectrum_form(x), rel=1e-12)


def test_memory_layout_and_float64_input_do_not_show():
    """Spark hands over float32; whoever encodes float64 rows gets the SIDs of the same rows as float32."""
    for tokenizer in (plain(64), plain(64, normalize="l2")):
        x = rows(200, 64) + np.float32(1e-3)
        wide = x.astype(np.float64) * (1 + 1e-9)
        assert (wide.astype(np.float32) == x).all()
        whole = tokenizer.encode(x)
        assert tokenizer.prepare_input(np.asfortranarray(x)).flags.c_contiguous
        z = tokenizer.latent(tokenizer.prepare_input(x))
        turned = tokenizer.encode_latent(np.asfortranarray(z))
        assert turned.residual_square.tobytes() == whole.residual_square.tobytes()
        for other in (np.asfortranarray(x), np.repeat(x, 2, axis=1)[:, ::2], wide):
            found = tokenizer.encode(other)
            assert found.margin.tobytes() == whole.margin.tobytes()
            assert found.residual_square.tobytes() == whole.residual_square.tobytes()


def test_no_rows():
    for tokenizer in (plain(), full()):
        found = tokenizer.encode(np.empty((0, 6), np.float32))
        assert found.codes.shape == (0, 3)
        assert tokenizer.decode(found.codes).shape == (0, 6)
        assert tokenizer.keys(found.codes).shape == (0,)


def test_l2_divides_by_the_norm_of_the_float32_row():
    x = np.array([[3.0, 4.0], [1e30, 0.0], [1e-45, 0.0], [-3e38, 3e38]], np.float32)
    half = 0.5**0.5
    assert normalized(x, "l2").tolist() == np.array([[0.6, 0.8], [1, 0], [1, 0], [-half, half]], np.float32).tolist()
    assert normalized(x, "l2").dtype == np.float32
    tokenizer = plain(normalize="l2")
    assert tokenizer.encode(rows(20) * 8).codes.tolist() == tokenizer.encode(rows(20)).codes.tolist()
    assert (tokenizer.encode(rows(20)).codes != plain().encode(rows(20)).codes).any()


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros(5), "rows of 6 numbers"),
        (np.zeros((2, 5)), "rows of 6 numbers"),
        (np.zeros((2, 6, 1)), "rows of 6 numbers"),
        (np.full((1, 6), np.nan), "finite"),
        (np.full((1, 6), -np.inf), "finite"),
        (np.full((1, 6), 1e39), "finite float32"),
        (np.zeros((1, 6)), "norm 0"),
    ],
)
def test_refuses_rows_without_a_sid(x, message):
    with pytest.raises(ValueError, match=message):
        plain(normalize="l2").encode(x)


def test_zeros_are_a_row_without_normalisation():
    assert plain().encode(np.zeros((1, 6))).codes.shape == (1, 3)


@pytest.mark.parametrize("normalize", ["none", "l2"])
def test_the_largest_embeddings_have_a_sid_too(normalize):
    """The encoder's result is kept within float32: no infinity, so no code by accident and no NaN in the figures."""
    x = np.array([[3e38] * 6, [-3e38] * 6, [3e38, -3e38] * 3], np.float32)
    widening = replace(network(6, 3), linear=np.full((3, 6), 100, np.float32))
    tokenizer = full(normalize=normalize, encoder=widening)
    assert np.isfinite(tokenizer.latent(x)).all()
    found = tokenizer.encode(x)
    assert np.isfinite(found.residual_square).all()
    assert np.isfinite(found.margin).all()
    assert found.codes.tolist() == by_hand(tokenizer, tokenizer.latent(tokenizer.prepare_input(x)))[0]


@pytest.mark.parametrize("codes", [[[0, 0]], [[8, 0, 0]], [[0, 5, 0]], [[-1, 0, 0]], [0, 0]])
def test_refuses_codes_out_of_range(codes):
    for decode in (full().decode, full().decode_latent, full().keys):
        with pytest.raises(ValueError, match="codes must be"):
            decode(np.array(codes))


BOOK = np.ones((4, 6), np.float32)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"codebooks": ()}, "one matrix per level"),
        ({"codebooks": (np.zeros(6, np.float32),)}, "one matrix per level"),
        ({"codebooks": (BOOK, BOOK[:, :5])}, "shapes"),
        ({"codebooks": (BOOK.astype(np.float64),)}, "float32"),
        ({"codebooks": (BOOK * np.nan,)}, "finite"),
        ({"codebooks": (BOOK[:1],)}, "at least 2"),
        ({"codebooks": (BOOK,), "prices": (np.zeros(3, np.float32),)}, "price tensors must have shapes"),
        ({"codebooks": (BOOK,), "prices": ()}, "price tensors must have shapes"),
        ({"codebooks": (BOOK,), "prices": (np.full(4, np.inf, np.float32),)}, "price tensors must be finite"),
        ({"codebooks": (BOOK,), "tables": (BOOK[:3],)}, "table tensors must have shapes"),
        ({"codebooks": (BOOK,), "tables": (BOOK, BOOK)}, "table tensors must have shapes"),
        ({"dim": 7}, "the encoder must take 7 numbers to 6"),
        ({"dim": 7, "encoder": network(7, 6)}, "the decoder must take 6 numbers to 7"),
        ({"encoder": network(5, 6)}, "the encoder must take 6 numbers to 6, not 5 to 6"),
        ({"decoder": network(6, 5)}, "the decoder must take 6 numbers to 6, not 6 to 5"),
        ({"normalize": "l1"}, "normalize"),
        ({"latent_rms": (1.0, float("nan"), 1.0)}, "latent_rms"),
        ({"latent_rms": (1.0, 1.0, -1.0)}, "latent_rms"),
        ({"latent_rms": (1.0,)}, "latent_rms"),
        ({"beam": 0}, "beam"),
        ({"beam": 65}, "beam"),
    ],
)
def test_refuses_what_is_not_a_tokenizer(change, message):
    with pytest.raises((ValueError, ConfigError), match=message):
        plain(**change)


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("linear", np.zeros((3, 5), np.float32)),
        ("hidden", np.zeros((4, 6), np.float32)),
        ("hidden_bias", np.zeros(4, np.float32)),
        ("out", np.zeros((3, 4), np.float32)),
        ("scale", np.zeros(2, np.float32)),
        ("bias", np.zeros(3)),
        ("shift", np.full(6, np.nan, np.float32)),
    ],
)
def test_refuses_networks_that_do_not_fit_together(part, value):
    with pytest.raises(ValueError, match="must be finite float32 of shape"):
        replace(network(6, 3), **{part: value})


def in_torch(form: ResidualMLP, x: np.ndarray, dtype: torch.dtype) -> np.ndarray:
    parts = {name: torch.from_numpy(value).to(dtype) for name, value in form.tensors().items()}
    centred = torch.from_numpy(x).to(dtype) - parts["shift"]
    inner = torch.nn.functional.linear(centred * parts["scale"], parts["hidden"], parts["hidden_bias"])
    bent = torch.nn.functional.linear(torch.nn.functional.silu(inner), parts["out"])
    return (torch.nn.functional.linear(centred, parts["linear"], parts["bias"]) + bent).numpy()


def test_the_network_is_torch_in_float64():
    form, x = network(6, 3, hidden=11), rows(50) / np.float32(10)
    expected = in_torch(form, x, torch.float64)
    np.testing.assert_allclose(form(x), expected, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(form(x), in_torch(form, x, torch.float32), rtol=1e-5, atol=1e-6 * np.abs(expected).max())
    without = replace(form, out=np.zeros_like(form.out))
    assert np.abs(form(x) - without(x)).max() > 1e-2  # the hidden layer counts
    assert form(x).dtype == np.float64


def test_silu_is_stable_and_right():
    x = np.array([-1e4, -745.0, -40.0, -1.0, 0.0, 1e-300, 1.0, 40.0, 1e300])
    expected = torch.nn.functional.silu(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(silu(x), expected, rtol=1e-12, atol=1e-13)


def spectrum_form(latents: np.ndarray) -> float:
    """sqrt(tr S^2 / tr S) from the eigenvalues of the covariance."""
    values = np.linalg.eigvalsh(np.atleast_2d(np.cov(latents.astype(np.float64).T, bias=True)))
    return float(np.sqrt((values**2).sum() / values.sum()))


MATRIX = st.tuples(st.integers(2, 30), st.integers(1, 8), st.integers(0, 2**32 - 1))


def drawn(n: int, dim: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, dim)) * rng.uniform(0.1, 3, dim) + rng.normal(size=dim)).astype(np.float32)


@TIMELESS
@given(MATRIX)
def test_effective_rms_is_the_formula_by_eigenvalues(case):
    latents = drawn(*case)
    values = np.linalg.eigvalsh(np.atleast_2d(np.cov(latents.astype(np.float64).T, bias=True)))
    participation = values.sum() ** 2 / (values**2).sum()
    assert rms(latents) == pytest.approx(spectrum_form(latents), rel=1e-9)
    assert rms(latents) == pytest.approx(np.sqrt(values.sum() / participation), rel=1e-9)


@TIMELESS
@given(MATRIX, st.integers(1, 20))
def test_effective_rms_does_not_change_with_rotation_shift_or_dimensions_without_variance(case, more):
    latents = drawn(*case)
    n, dim = latents.shape
    padded = np.concatenate([latents, np.full((n, more), 3, np.float32)], axis=1)
    assert rms(padded) == pytest.approx(rms(latents), rel=1e-9)
    rotation = np.linalg.qr(np.random.default_rng(case[2]).normal(size=(dim, dim)))[0]
    rotated = (latents @ rotation + 5).astype(np.float32)
    assert rms(rotated) == pytest.approx(rms(latents), rel=1e-4)
    assert rms(latents * np.float32(4)) == pytest.approx(4 * rms(latents), rel=1e-9)


def test_effective_rms_of_isotropic_latents_is_their_standard_deviation():
    corners = np.array([[x, y, z] for x in (-2, 2) for y in (-2, 2) for z in (-2, 2)], np.float32)
    assert rms(corners) == pytest.approx(2.0)
    assert rms(np.concatenate([corners, np.zeros((8, 90), np.float32)], axis=1)) == pytest.approx(2.0)


@pytest.mark.parametrize("latents", [np.zeros((0, 3)), np.full((5, 3), 0.1), np.full((1, 3), 7.0)])
def test_latents_that_do_not_vary_have_no_scale(latents):
    assert rms(latents.astype(np.float32)) == 0.0


def test_the_anchor_is_the_mean_of_evenly_used_codes_and_changes_no_code():
    tokenizer = plain()
    grid = np.array([[a, b, c] for a in range(8) for b in range(5) for c in range(4)])
    every = tokenizer.decode_latent(grid)
    np.testing.assert_allclose(tokenizer.anchor()[1], every.mean(axis=0), rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(tokenizer.anchor()[0], tokenizer.anchor()[1])
    before = full().encode(rows(10)).codes.tolist()
    after = full()
    at, latent = after.anchor()
    assert (at.shape, latent.shape) == ((6,), (3,))
    np.testing.assert_allclose(at, after.decoder(latent[None])[0], rtol=1e-12)
    assert after.encode(rows(10)).codes.tolist() == before


def test_keys_are_the_mixed_radix_number_of_the_codes():
    assert plain().keys(np.array([[0, 0, 0], [7, 4, 3], [1, 2, 3]])).tolist() == [0, 159, 1 * 20 + 2 * 4 + 3]


def test_encoding_is_a_plain_value():
    found = plain().encode(rows(2))
    assert isinstance(found, Encoding)
    with pytest.raises(AttributeError):
        found.codes = found.codes


def test_effective_rms_of_a_metric_is_that_of_the_weighed_latents():
    latents = pattern(50, 4)
    weight = np.array([1, 0.5, 0, 2], np.float32)
    assert effective_rms(latents, [None, weight]) == pytest.approx((rms(latents), rms(latents * weight)), rel=1e-9)


def test_the_greedy_encoding_is_a_beam_of_one():
    greedy, wide = behaving(beam=1), behaving()
    x = rows(200, 4)
    by_search = search(wide.latent(x).astype(np.float64), greedy._prepared, 1)
    found = greedy.encode(x)
    assert np.array_equal(by_search.codes[:, 0], found.codes)
    np.testing.assert_allclose(by_search.residual_square, found.residual_square)
    costs = [one.paths(one.latent(x), 1).cost[:, 0] for one in (greedy, wide)]
    assert (costs[1] <= costs[0] + 1e-9).mean() > 0.9
    assert (costs[1] < costs[0] - 1e-9).any()


def test_paths_come_cheapest_first_and_start_with_the_sid():
    tokenizer, x = behaving(), rows(50, 4)
    paths = tokenizer.paths(tokenizer.latent(x), 5)
    assert np.array_equal(paths.codes[:, 0], tokenizer.encode(x).codes)
    assert (np.diff(paths.cost, axis=1) >= 0).all()
    assert all(len(np.unique(tokenizer.keys(codes))) == 5 for codes in paths.codes)


def test_what_is_only_read_out_does_not_choose_codes():
    """Coordinates of weight 0 on every level: two items that differ only there have one SID."""
    none = np.concatenate([np.ones(4, np.float32), np.zeros(3, np.float32)])
    tokenizer = behaving(weights=(none,) * 3)
    z = tokenizer.latent(rows(40, 4))
    moved = z + np.float32(8) * (none == 0)
    assert np.array_equal(tokenizer.encode_latent(moved).codes, tokenizer.encode_latent(z).codes)
    assert tokenizer.encode_latent(moved).residual_square == pytest.approx(tokenizer.encode_latent(z).residual_square)
