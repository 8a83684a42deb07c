"""One level of k-means: the cases that break plain Lloyd iterations, and what its dial does."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from drq_spark.config import KMeans
from drq_spark.errors import InputRefused
from drq_spark.train import kmeans
from drq_spark.train.kmeans import Codebook, fit_codebook
from drq_spark.train.nearest import assign, sum_by_code
from drq_spark.train.prices import Balance


def fit(rows: Tensor, size: int, seed: int = 0, **settings: float) -> Tensor:
    return fitted(rows, size, Balance(), seed, **settings).codewords


def fitted(rows: Tensor, size: int, balance: Balance, seed: int = 0, **settings: float) -> Codebook:
    generator = torch.Generator().manual_seed(seed)
    kmeans_settings = KMeans.model_validate(settings)
    return fit_codebook(rows.clone(), size, kmeans_settings, generator, lambda done, total: None, balance)


def blobs(counts: list[int], spread: float, seed: int = 0) -> Tensor:
    """Gaussian blobs of these sizes around far corners in eight dimensions."""
    generator = torch.Generator().manual_seed(seed)
    centres = 10 * torch.randn(len(counts), 8, generator=generator)
    rows = torch.cat([c.expand(n, 8) for n, c in zip(counts, centres, strict=True)])
    return rows + spread * torch.randn(rows.shape, generator=generator)


def error(rows: Tensor, codewords: Tensor) -> float:
    return float((rows - codewords[assign(rows, codewords)]).square().sum())


def test_well_separated_blobs_are_found() -> None:
    rows = blobs([50] * 12, spread=0.1)
    codewords = fit(rows, 12)
    assert sorted(torch.bincount(assign(rows, codewords), minlength=12).tolist()) == [50] * 12
    means = rows.view(12, 50, 8).double().mean(dim=1)
    assert float(torch.cdist(means, codewords.double()).min(dim=1).values.max()) < 1e-5


def _never(self: object, rows: Tensor, codewords: Tensor, *_: object) -> tuple[Tensor, Tensor]:
    return codewords, torch.empty(0, dtype=torch.int64)


def test_restarts_find_what_random_rows_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most random starts fall on copies of one row; only codes that start again elsewhere reach the other blobs."""
    rows = blobs([3000, *([40] * 11)], spread=0.0)
    rows[3000:] += 0.1 * torch.randn(440, 8, generator=torch.Generator().manual_seed(5))
    for seed in range(4):
        assert sorted(torch.bincount(assign(rows, fit(rows, 12, seed=seed))).tolist()) == [40] * 11 + [3000]
    monkeypatch.setattr(kmeans._Fit, "_restart", _never)
    for seed in range(4):
        assert len(set(assign(rows, fit(rows, 12, seed=seed)).tolist())) < 12


def test_restarted_code_lies_in_an_over_full_one() -> None:
    """Code 1 has no row; it must move half way from the mean of the full code 0 to one of its rows, never elsewhere."""
    rows = torch.tensor([[-1.0], [1.0], [-1.0], [1.0], [50.0]])
    generator = torch.Generator().manual_seed(0)
    run = kmeans._Fit(rows, 3, KMeans(restart_share=0.0), generator, lambda done, total: None, Balance())
    start, codes = torch.tensor([[0.0], [-99.0], [50.0]]), torch.tensor([0, 0, 0, 0, 2])
    moved, restarted = run._lloyd(rows, start, codes, 0.0)
    assert restarted.tolist() == [1]
    assert moved[[0, 2]].tolist() == [[0.0], [50.0]]
    assert abs(float(moved[1])) == 0.5
    assert run._lloyd(rows, start, codes, None)[0][1] == -99.0


@pytest.mark.parametrize("dial", [0.0, 0.5])
def test_iterations_take_some_of_many_rows_and_the_last_takes_all(monkeypatch: pytest.MonkeyPatch, dial: float) -> None:
    monkeypatch.setattr(kmeans, "_ROWS_PER_CODE", 10)
    taken: list[Tensor] = []
    lloyd = kmeans._Fit._lloyd

    def told(self: kmeans._Fit, rows: Tensor, *more: object) -> tuple[Tensor, Tensor]:
        taken.append(rows)
        return lloyd(self, rows, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(kmeans._Fit, "_lloyd", told)
    rows = torch.randn(500, 3, generator=torch.Generator().manual_seed(1))
    fitted(rows, 8, Balance(dial))
    counts = [len(part) for part in taken]
    assert counts == [80] * (len(counts) - 3) + [125, 250, 500]
    assert len(counts) == (24 if dial else 28)
    seen = torch.cat(taken[:7]).unique(dim=0)  # others every time: seven parts of 80 are all 500
    assert len(seen) == 500


def test_balance_spreads_the_items_at_little_cost() -> None:
    generator = torch.Generator().manual_seed(3)
    rows = torch.randn(4000, 16, generator=generator) * torch.rand(4000, 1, generator=generator).pow(3)
    plain, balanced = fit(rows, 64, start_price=0.0, restart_share=0.0), fit(rows, 64)
    shares = [torch.bincount(assign(rows, codewords), minlength=64) / 4000 for codewords in (plain, balanced)]
    assert shares[1].square().sum() < 0.85 * shares[0].square().sum()
    assert error(rows, balanced) < 1.05 * error(rows, plain)


def skewed(rows: int = 4000) -> Tensor:
    """Most rows near the origin, some far out: plain k-means spends its codes on those."""
    generator = torch.Generator().manual_seed(3)
    return torch.randn(rows, 16, generator=generator) * torch.rand(rows, 1, generator=generator)


def perplexity(codes: Tensor, size: int, use: Tensor | None = None) -> float:
    share = torch.bincount(codes, weights=use, minlength=size).double()
    return float(torch.special.entr(share / share.sum()).sum().exp()) / size


def test_the_dial_goes_from_plain_to_uniform() -> None:
    rows = skewed()
    books = [fitted(rows, 64, Balance(dial)) for dial in (0.0, 0.2, 0.4, 1.0)]
    used = [perplexity(book.codes, 64) for book in books]
    assert used == sorted(used)
    assert used[0] < 0.7
    assert used[-1] > 0.975
    assert not books[0].price.any()
    assert all(abs(float(book.price.mean())) < 1e-9 and book.price.any() for book in books[1:])


def test_codes_of_a_codebook_are_those_of_its_prices() -> None:
    rows = skewed(600)
    book = fitted(rows, 16, Balance(0.6))
    assert (book.codes == assign(rows, book.codewords, book.price)).float().mean() > 0.995  # float32, other coordinates
    assert not torch.equal(book.codes, assign(rows, book.codewords))


def test_more_of_the_dial_is_more_even_where_a_few_rows_are_long() -> None:
    """Lengths over orders of magnitude, as of embeddings that grow with popularity; the mean gap would be theirs."""
    generator = torch.Generator().manual_seed(4)
    rows = torch.randn(4000, 64, generator=generator) * torch.randn(4000, 1, generator=generator).exp()
    used = [perplexity(fitted(rows, 64, Balance(dial)).codes, 64) for dial in (0.0, 0.2, 0.45, 0.7, 0.9)]
    assert used == sorted(used)


def test_the_end_of_the_dial_is_uniform() -> None:
    rows = torch.randn(4000, 16, generator=torch.Generator().manual_seed(3))
    assert perplexity(fitted(rows, 64, Balance(1.0)).codes, 64) > 0.995


def test_prices_scale_with_the_squares() -> None:
    rows = skewed(600)
    small, large = fitted(rows, 16, Balance(0.6)), fitted(rows * 8, 16, Balance(0.6))
    assert torch.allclose(large.price, 64 * small.price)
    assert torch.equal(large.codes, small.codes)


def test_balance_by_exposure_evens_out_exposure() -> None:
    rows, use = skewed(), torch.rand(4000, generator=torch.Generator().manual_seed(9), dtype=torch.float64).pow(-0.7)
    use[rows[:, 0] > 0] *= 10
    by_items, by_use = fitted(rows, 32, Balance(0.7)), fitted(rows, 32, Balance(0.7, use))
    assert perplexity(by_use.codes, 32, use) > perplexity(by_items.codes, 32, use) + 0.05
    assert perplexity(by_use.codes, 32) < perplexity(by_items.codes, 32)


def test_use_of_nothing_is_balanced_like_none() -> None:
    rows = skewed(300)
    assert torch.isfinite(fitted(rows, 8, Balance(0.6, torch.zeros(300, dtype=torch.float64))).codewords).all()


def test_result_ends_in_plain_iterations() -> None:
    """No price is left: long after the balance ends, every codeword is the mean of its nearest rows."""
    rows = torch.randn(500, 3, generator=torch.Generator().manual_seed(1))
    codewords = fit(rows, 10, final_iterations=200)
    sums, counts = sum_by_code(rows, assign(rows, codewords), 10)
    assert torch.allclose(codewords, (sums / counts[:, None]).float(), atol=1e-6)


@pytest.mark.parametrize("exponent", [-60, -20, 20, 60])
def test_scale_changes_nothing_but_the_scale(exponent: int) -> None:
    rows = torch.randn(400, 5, generator=torch.Generator().manual_seed(1))
    assert torch.equal(fit(rows * 2.0**exponent, 16), fit(rows, 16) * 2.0**exponent)


def test_far_from_the_origin() -> None:
    """At 4096 the float32 square of a row is 2^24, so uncentred scores could not tell rows 0.1 apart."""
    rows = blobs([50] * 12, spread=0.1) / 64
    codewords = fit(rows + 4096.0, 12)
    shifted = (rows + 4096.0).double()
    nearest = torch.cdist(shifted, codewords.double()).argmin(dim=1)
    assert sorted(torch.bincount(nearest, minlength=12).tolist()) == [50] * 12


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_identical_rows(value: float) -> None:
    assert torch.equal(fit(torch.full((30, 4), value), 7), torch.full((7, 4), value))


def test_as_many_codes_as_rows_leaves_no_error() -> None:
    rows = torch.randn(40, 6, generator=torch.Generator().manual_seed(1))
    assert error(rows, fit(rows, 40)) < 1e-9


def test_more_codes_than_rows_are_refused() -> None:
    with pytest.raises(InputRefused, match=r"^5 items .* 6 codes: lower tokenizer\.codes"):
        fit(torch.zeros(5, 2), 6)


def test_seed_decides_and_steps_are_told() -> None:
    rows = torch.randn(300, 4, generator=torch.Generator().manual_seed(1))
    assert torch.equal(fit(rows, 8), fit(rows, 8))
    assert not torch.equal(fit(rows, 8), fit(rows, 8, seed=1))
    told: list[tuple[int, int]] = []
    fit_codebook(rows, 8, KMeans(), torch.Generator().manual_seed(0), lambda done, total: told.append((done, total)))
    assert told == [(step, 28) for step in range(1, 29)]
