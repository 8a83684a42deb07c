"""RQ-VAE and RQP-VAE: their gradients and averages against plain references, and what they say about themselves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from drq_spark.arrays import F32
from drq_spark.config import Config, RqpVae, RqVae, load_config
from drq_spark.errors import TrainingFailed
from drq_spark.progress import SILENT
from drq_spark.sample.values import Sample
from drq_spark.tokenizer import Tokenizer
from drq_spark.train import end_to_end
from drq_spark.train.bottleneck import commitment, quantize, rotated, straight_through
from drq_spark.train.collapse import collapse_warnings
from drq_spark.train.contract import TrainingData
from drq_spark.train.driver import train_tokenizer
from drq_spark.train.evaluation import LevelFigures
from drq_spark.train.rq_vae import LearnedBooks, RqVaeTrainer, codebook_loss
from drq_spark.train.rqp_vae import AveragedBooks, average, revive

BOTH = ("rq_vae", "rqp_vae")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


def catalogue(rows: int = 1500, seed: int = 0) -> F32:
    """Three hundred small clusters in sixteen dimensions, off the origin."""
    centres = np.random.default_rng(99).normal(size=(300, 16)) * np.linspace(2.0, 0.3, 16)
    rng = np.random.default_rng(seed)
    chosen = centres[rng.integers(300, size=rows)] + 0.2 * rng.normal(size=(rows, 16))
    return (chosen + 3).astype(np.float32)


def config_of(name: str, **options: Any) -> Config:
    small = {"latent_dim": 8, "hidden": 32, "steps": 150, "epochs": 50, "batch_size": 256, "learning_rate": 2e-3}
    base = {"tokenizer.name": name, "tokenizer.codes": 64, "train.device": "cpu", "train.threads": 1}
    return load_config(options=base | {f"train.{name}.{key}": value for key, value in (small | options).items()})


def with_codes(config: Config, **shape: int) -> Config:
    return config.model_copy(update={"tokenizer": config.tokenizer.model_copy(update=shape)})


def trained(name: str, **options: Any) -> Tokenizer:
    return train_tokenizer(Sample(catalogue(), "abc"), config_of(name, **options))


# ---- gradients past the codes ----


def reflection(direction: Tensor) -> Tensor:
    """Householder matrix I - 2 v v^T / |v|^2."""
    return torch.eye(len(direction), dtype=torch.float64) - 2 * torch.outer(direction, direction) / direction.dot(
        direction
    )


def test_rotation_trick_is_two_reflections() -> None:
    """Reflecting at z and then at the bisector of z and t turns z into the direction of t."""
    z, t, gradient = normal(20, 5, seed=1).requires_grad_(), normal(20, 5, seed=2), normal(20, 5, seed=3)
    turned = rotated(z, t)
    assert torch.allclose(turned, t, rtol=1e-12)
    turned.backward(gradient)
    assert z.grad is not None
    for row in range(20):
        a, b = z.detach()[row], t[row]
        turn = reflection(a / a.norm() + b / b.norm()) @ reflection(a)
        assert torch.allclose(turn @ a / a.norm(), b / b.norm())
        assert torch.allclose(z.grad[row], b.norm() / a.norm() * turn.T @ gradient[row], rtol=1e-9)


def test_rotation_trick_keeps_the_angle_of_gradient_and_codeword() -> None:
    """What the paper asks for: the gradient lies to z as it lay to the codeword."""
    z, t, gradient = normal(9, 4, seed=1).requires_grad_(), normal(9, 4, seed=2), normal(9, 4, seed=3)
    rotated(z, t).backward(gradient)
    cosine = torch.nn.functional.cosine_similarity
    assert torch.allclose(cosine(z.grad, z.detach()), cosine(gradient, t))


@pytest.mark.parametrize(("z", "t"), [((0.0, 0.0), (1.0, 2.0)), ((1.0, 2.0), (0.0, 0.0)), ((1.0, 2.0), (-2.0, -4.0))])
def test_no_rotation_is_defined_there(z: tuple[float, float], t: tuple[float, float]) -> None:
    """From zero, to zero and to the opposite direction: straight through, and nothing is nan."""
    start = torch.tensor([z]).requires_grad_()
    turned = rotated(start, torch.tensor([t]))
    turned.backward(torch.tensor([[3.0, 5.0]]))
    assert torch.equal(turned.detach(), torch.tensor([t]))
    assert start.grad is not None
    assert torch.equal(start.grad, torch.tensor([[3.0, 5.0]]))


def test_straight_through_copies_the_gradient() -> None:
    z, gradient = normal(6, 3).requires_grad_(), normal(6, 3, seed=3)
    straight_through(z, normal(6, 3, seed=2)).backward(gradient)
    assert z.grad is not None
    assert torch.equal(z.grad, gradient)


@pytest.mark.parametrize("estimator", ["straight_through", "rotation"])
def test_the_decoder_is_given_the_sum_of_the_codewords(estimator: str) -> None:
    books = [normal(7, 4, seed=level).float() for level in range(3)]
    settings = RqVae.model_validate({"estimator": estimator})
    passed = LearnedBooks(books, settings)(normal(50, 4, seed=9).float().requires_grad_())
    codes = passed.quantized.codes
    total = sum((book[codes[:, level]] for level, book in enumerate(books)), torch.zeros(50, 4))
    assert torch.allclose(passed.latents, total, atol=1e-5)


def test_codes_are_those_of_a_plain_search() -> None:
    books, z = [normal(7, 4, seed=level).float() for level in range(3)], normal(40, 4, seed=9).float()
    found = quantize(z, books)
    for row in range(40):
        left = z[row]
        for level, book in enumerate(books):
            assert torch.allclose(found.residuals[level][row], left, atol=1e-6)
            code = int(((left - book) ** 2).sum(dim=1).argmin())
            assert found.codes[row, level] == code
            left = left - book[code]


def test_losses_and_their_gradients() -> None:
    """Against sums written out: 2 (c - r) for every codeword of a row, 2 (z - z_q up to a level) for its latent."""
    books = [normal(5, 3, seed=level).float().requires_grad_() for level in range(2)]
    z = normal(30, 3, seed=9).float().requires_grad_()
    found = quantize(z, [book.detach() for book in books])
    pull, push = codebook_loss(found, books), commitment(z, found)
    (pull.sum() + push.sum()).backward()
    assert z.grad is not None
    expected = [torch.zeros(5, 3) for _ in books]
    for row in range(30):
        left, force, lost = z.detach()[row], torch.zeros(3), 0.0
        for level, book in enumerate(books):
            code = found.codes[row, level]
            expected[level][code] += 2 * (book.detach()[code] - left)
            left = left - book.detach()[code]
            force, lost = force + 2 * left, lost + float(left @ left)
        assert torch.allclose(z.grad[row], force, atol=1e-5)
        assert float(pull[row].detach()) == pytest.approx(lost, rel=1e-5)
        assert float(push[row].detach()) == pytest.approx(lost, rel=1e-5)
    for book, gradient in zip(books, expected, strict=True):
        assert book.grad is not None
        assert torch.allclose(book.grad, gradient, atol=1e-5)


# ---- moving averages ----


def test_averages_against_a_plain_loop() -> None:
    """n and m as the docstring has them, code by code and row by row, over several batches of different codes."""
    decay, book = 0.9, normal(4, 3).float()
    count, n, m = torch.ones(4), np.ones(4), book.double().numpy().copy()
    for step in range(6):
        rows = normal(10, 3, seed=step + 1).float()
        codes = torch.randint(3, (10,), generator=generator(step))  # code 3 has no rows
        average(book, count, rows, codes, decay)
        for code in range(4):
            mine = rows[codes == code].double().numpy()
            n[code] = decay * n[code] + (1 - decay) * len(mine) * 4 / 10
            m[code] = decay * m[code] + (1 - decay) * mine.sum(axis=0) * 4 / 10
        assert np.allclose(count, n, rtol=1e-5)
        assert np.allclose(book, m / n[:, None], rtol=1e-4, atol=1e-5)


def test_a_code_without_rows_stays_where_it_is() -> None:
    book = normal(3, 2).float()
    before, count = book.clone(), torch.ones(3)
    average(book, count, normal(5, 2, seed=1).float(), torch.zeros(5, dtype=torch.int64), 0.5)
    assert torch.allclose(book[1:], before[1:])
    assert count.tolist() == pytest.approx([2.0, 0.5, 0.5])


def test_dead_codes_move_to_different_rows_of_the_batch() -> None:
    book, rows = normal(6, 3).float(), normal(20, 3, seed=1).float()
    before, count = book.clone(), torch.tensor([2.0, 0.05, 1.0, 0.01, 1.0, 0.11])
    revive(book, count, rows, 0.1, generator())
    assert torch.equal(book[[0, 2, 4, 5]], before[[0, 2, 4, 5]])
    taken = [int((rows == book[code]).all(dim=1).nonzero()) for code in (1, 3)]
    assert taken[0] != taken[1]
    assert count.tolist() == pytest.approx([2.0, 1.0, 1.0, 1.0, 1.0, 0.11])


def test_more_dead_codes_than_rows() -> None:
    book, count = torch.zeros(6, 3), torch.tensor([1.0, 0, 0, 0, 0, 0])
    revive(book, count, normal(2, 3).float(), 0.5, generator())
    assert count.tolist() == [1, 1, 1, 0, 0, 0]


def test_books_follow_their_batch() -> None:
    """One step of the bottleneck: each level averages the residuals that it was given."""
    books = [normal(4, 3, seed=level).float() for level in range(2)]
    before = [book.clone() for book in books]
    bottleneck = AveragedBooks(books, RqpVae(decay=0.5, revive_below=0.0))
    passed = bottleneck(normal(64, 3, seed=9).float())
    bottleneck.after_step(passed.quantized, generator())
    for level, (book, old) in enumerate(zip(bottleneck.books(), before, strict=True)):
        for code in range(4):
            mine = passed.quantized.residuals[level][passed.quantized.codes[:, level] == code]
            n = 0.5 + 0.5 * len(mine) * 4 / 64
            assert torch.allclose(book[code], (0.5 * old[code] + 0.5 * mine.sum(dim=0) * 4 / 64) / n, atol=1e-5)


# ---- training ----


def curved(rows: int, scale: float = 1.0) -> F32:
    """A curved sheet in eight dimensions: PCA alone cannot flatten it."""
    t = np.random.default_rng(0).uniform(-1, 1, size=(rows, 2))
    turn = np.random.default_rng(7).normal(size=(6, 8))
    return (scale * (np.concatenate([t, t**2, np.sin(4 * t)], axis=1) @ turn + 3)).astype(np.float32)


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("scale", [2.0**-10, 1.0, 2.0**10])
def test_what_ships_is_what_was_trained(monkeypatch: pytest.MonkeyPatch, name: str, scale: float) -> None:
    """Numpy encoder, codebooks and decoder against the torch ones, in double precision.

    On the sheet, which a few steps improve by a tenth: on clusters the start may well be the best state.
    """
    runs: list[end_to_end._Run] = []
    real = end_to_end._Run.__init__

    def spy(self: end_to_end._Run, *arguments: Any) -> None:
        real(self, *arguments)
        runs.append(self)

    monkeypatch.setattr(end_to_end._Run, "__init__", spy)
    config = config_of(name, latent_dim=3, steps=20)
    tokenizer, x = train_tokenizer(Sample(curved(1500, scale), "abc"), config), curved(300, scale)
    run, unit = runs[0], runs[0].coordinates.unit
    model, mean = run.model.double(), run.mean.double()
    codes = tokenizer.encode(x).codes
    with torch.no_grad():
        z = model.encoder((torch.from_numpy(x).double() - mean) / unit)
        chosen = [book[torch.from_numpy(codes[:, i]).long()] for i, book in enumerate(model.bottleneck.books())]
        decoded = model.decoder(torch.stack(chosen).sum(dim=0)) * unit + mean
    latents = tokenizer.latent(x)
    assert np.allclose(latents, z.numpy() * unit, rtol=0, atol=1e-6 * np.abs(latents).max())
    assert np.allclose(tokenizer.decode(codes), decoded.numpy(), rtol=0, atol=1e-6 * np.abs(x).max())
    assert tokenizer.decoder is not None
    assert np.abs(tokenizer.decoder.out).max() > 0


@pytest.mark.parametrize(("name", "options"), [("rq_vae", {}), ("rq_vae", {"estimator": "rotation"}), ("rqp_vae", {})])
def test_training_improves_on_its_start(name: str, options: dict[str, Any]) -> None:
    config = config_of(name, latent_dim=3, **options)
    training = train_tokenizer(Sample(curved(1500), "abc"), config).training
    assert training["warnings"] == []
    assert min(training["curve"]["relative_mse"]) < 0.8 * training["curve"]["relative_mse"][0]
    # of 64; 150 steps may end before the last dead code is back
    assert all(level["used"] >= (0.95 if name == "rqp_vae" else 0.9) for level in training["levels"]["fit"])


def test_a_random_start_collapses_and_says_so() -> None:
    """As in DRQ: the naive RQ-VAE uses few of its codes; nothing is raised."""
    config = with_codes(config_of("rq_vae", start="random"), codes=256)
    training = train_tokenizer(Sample(catalogue(), "abc"), config).training
    level = training["levels"]["fit"][0]
    used, even = round(level["used"] * 256), round(level["perplexity"] * 256)
    assert used < 128
    advice = "set train.rq_vae.start=kmeans, or use rqp_vae or drq"
    expected = f"level 1 uses {used} of 256 codes, no better than {even} codes used evenly: {advice}"
    assert training["warnings"][0] == expected


@pytest.mark.parametrize(
    ("used", "perplexity", "warned"), [(1.0, 0.6, False), (0.45, 0.4, True), (0.9, 0.2, True), (0.5, 0.25, False)]
)
def test_collapse_is_little_or_uneven_use(used: float, perplexity: float, warned: bool) -> None:
    levels = [LevelFigures(0.5, 0.8, 1.0), LevelFigures(0.3, perplexity, used)]
    found = collapse_warnings(levels, (100, 100), catalogue(200), "remedy")
    assert [text.split(":")[0].split(",")[0] for text in found] == [
        f"level 2 uses {used * 100:.0f} of 100 codes"
    ] * warned


@pytest.mark.parametrize("levels", [1, 3])
def test_few_different_items_are_no_collapse(levels: int) -> None:
    """Five items use five codes, and leave nothing to the later levels."""
    x, config = np.tile(catalogue(5), (100, 1)), with_codes(config_of("rqp_vae"), levels=levels)
    warnings = train_tokenizer(Sample(x, "abc"), config).training["warnings"]
    assert not [text for text in warnings if text.startswith("level")]


@pytest.mark.parametrize("name", BOTH)
def test_divergence_is_said(name: str) -> None:
    with pytest.raises(TrainingFailed, match=rf"lower train\.{name}\.learning_rate"):
        trained(name, learning_rate=1e6)


def test_a_training_that_only_spoils_the_start_is_said() -> None:
    training = trained("rqp_vae", learning_rate=3.0, steps=3).training
    assert training["warnings"] == ["training never improved on its start: lower train.rqp_vae.learning_rate"]


def test_best_state_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """The state judged best ships, not the last one."""
    scores, states = iter([0.5, 0.2, 0.1, 0.4]), []

    def judge(self: end_to_end._Run) -> float:
        states.append(self.model.encoder.linear.detach().numpy().copy())
        return next(scores)

    monkeypatch.setattr(end_to_end._Run, "judge", judge)
    tokenizer = trained("rqp_vae", steps=3)
    assert tokenizer.encoder is not None
    assert np.array_equal(tokenizer.encoder.linear, states[2])
    assert not np.array_equal(states[3], states[2])
    assert tokenizer.training["curve"]["relative_mse"] == [0.5, 0.2, 0.1, 0.4]


@pytest.mark.parametrize(("steps", "epochs", "done"), [(7, 50, 7), (500, 4, 20), (100, 50, 100)])
def test_work_is_bounded_and_the_curve_too(steps: int, epochs: int, done: int) -> None:
    """1,350 fit rows in batches of 256 are 5 steps a pass."""
    curve = trained("rqp_vae", steps=steps, epochs=epochs).training["curve"]
    assert curve["steps"][0] == 0
    assert curve["steps"][-1] == done
    assert len(curve["steps"]) == len(curve["relative_mse"]) == len(curve["used"]) + 1 <= 31


@pytest.mark.parametrize("name", BOTH)
def test_chance_comes_from_the_seed_alone(name: str) -> None:
    """Not from torch's global generator, and revival draws too."""
    torch.manual_seed(1)
    first = trained(name, steps=20)
    torch.manual_seed(2)
    second = trained(name, steps=20)
    assert all(np.array_equal(a, b) for a, b in zip(first.codebooks, second.codebooks, strict=True))


def test_held_out_rows_only_judge() -> None:
    """Other held-out rows, another best state perhaps, but the same training."""
    x = catalogue(600)
    runs = [TrainingData(np.concatenate([catalogue(80, seed), x]), 80, "abc") for seed in (1, 2)]
    config = config_of("rq_vae", steps=10)
    used = [RqVaeTrainer().fit(data, config, SILENT.progress).training["curve"]["used"] for data in runs]
    assert used[0] == used[1]
