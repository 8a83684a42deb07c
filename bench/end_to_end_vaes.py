"""rq_vae and rqp_vae beside ResidualVQ of vector-quantize-pytorch (to be installed), under equal conditions.

    python bench/end_to_end_vaes.py FOLDER [--codes 256] [--levels 3] [--seeds 1] [--threads 1] [--only NAME ...]
                                    [--set section.key=value ...]

FOLDER as in bench/tokenizers.py. All share data, encoder and decoder (started at PCA), Adam, learning rate, steps and
batches: ResidualVQ only takes the place of our bottleneck. "VQ" has its defaults and its k-means start (on all our
start rows, more than its first batch would be), its loss added as mean squares as in its README; "VQ tuned" our decay,
commitment and share of revival, the loss a sum of squares as ours; "VQ tuned, our start" begins with our books, too.
Each by the rotation trick, its default, and straight through. Fitted to 75 % of the items: relative error on these and
on the others, perplexity / K and share of codes used, a level each.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from vector_quantize_pytorch import ResidualVQ

sys.path.insert(0, str(Path(__file__).parent))
from catalogues import load

from drq_spark.config import Config, EndToEnd, load_config
from drq_spark.progress import SILENT, Progress
from drq_spark.sample.values import Sample
from drq_spark.train.bottleneck import Bottleneck, Passed, kmeans_start, quantize
from drq_spark.train.contract import TrainingData
from drq_spark.train.driver import split
from drq_spark.train.end_to_end import EndToEndTrainer, fit_end_to_end
from drq_spark.train.evaluation import reconstruction_error
from drq_spark.train.rq_vae import RqVaeTrainer
from drq_spark.train.rqp_vae import RqpVaeTrainer

_UNSEEN = 0.25


@dataclass(frozen=True)
class Peer:
    """The recipe whose bottleneck is ResidualVQ.

    Attributes:
        name: first column. options: of ResidualVQ. dims: its loss, a mean of squares, becomes a sum over so many
        dimensions (d where None). our_start: with our books instead of its own k-means.
    """

    name: str
    options: dict[str, Any]
    dims: int | None = None
    our_start: bool = False
    stream: int = 99

    def settings(self, config: Config) -> EndToEnd:
        """Those of rqp_vae."""
        return config.train.rqp_vae

    def remedy(self, config: Config) -> str:
        """None of ours."""
        return "see its README"

    def bottleneck(self, latents: Tensor, config: Config, generator: torch.Generator, progress: Progress) -> Bottleneck:
        """ResidualVQ, started."""
        torch.manual_seed(config.seed)
        dim, sizes = latents.shape[1], config.tokenizer.codebook_sizes
        vq = ResidualVQ(dim=dim, codebook_size=sizes, kmeans_init=not self.our_start, **self.options)
        if self.our_start:
            begin(vq, kmeans_start(latents, config, generator, progress), config.train.rqp_vae.batch_size)
        else:
            vq.train()(latents[None])
        return PeerBooks(vq, self.dims or dim)


def begin(vq: ResidualVQ, books: list[Tensor], batch_size: int) -> None:
    """Give ResidualVQ these codebooks, as if every code had had its mean count."""
    for layer, book in zip(vq.layers, books, strict=True):
        count = batch_size / len(book)
        layer._codebook.embed.data.copy_(book[None])
        layer._codebook.cluster_size.fill_(count)
        layer._codebook.embed_avg.copy_(book[None] * count)


class PeerBooks(Bottleneck):
    """ResidualVQ as a bottleneck; it moves its books in its forward pass."""

    def __init__(self, vq: ResidualVQ, dims: int) -> None:
        super().__init__()
        self.vq, self.dims = vq, dims

    def books(self) -> list[Tensor]:
        """The codebooks, float32 [K_l, d] each."""
        return [layer.codebook.detach().clone() for layer in self.vq.layers]

    def forward(self, z: Tensor) -> Passed:
        """Quantize latents [n, d] of a batch."""
        quantized = quantize(z, self.books())
        latents, _, losses = self.vq(z[None])
        return Passed(latents[0], losses.sum() * self.dims, quantized)


def recipes(dim: int, config: Config) -> dict[str, EndToEndTrainer]:
    """By the name in the first column, for embeddings of `dim` numbers."""
    ours, codes = config.train.rqp_vae, config.tokenizer.codebook_sizes[0]
    dead = ours.revive_below * ours.batch_size / codes
    tuned = {"decay": ours.decay, "commitment_weight": ours.commitment, "threshold_ema_dead_code": dead}
    peers = []
    for estimator, rotation in (("rotation", True), ("straight", False)):
        peers.append(Peer(f"VQ, {estimator}", {"rotation_trick": rotation}, dim))
        peers.append(Peer(f"VQ tuned, {estimator}", {**tuned, "rotation_trick": rotation}))
        peers.append(Peer(f"VQ tuned, our start, {estimator}", {**tuned, "rotation_trick": rotation}, our_start=True))
    ours_too: dict[str, EndToEndTrainer] = {"rq_vae": RqVaeTrainer(), "rqp_vae": RqpVaeTrainer()}
    ours_too.update({peer.name: peer for peer in peers})
    return ours_too


def figures(recipe: EndToEndTrainer, data: TrainingData, config: Config) -> list[float]:
    """Relative error fitted and unseen, perplexity / K and used codes a level, seconds."""
    began = time.perf_counter()
    tokenizer = fit_end_to_end(recipe, replace(data, prepared=data.fit, held_out_rows=0), config, SILENT.progress)
    seconds = time.perf_counter() - began
    mean = data.fit.mean(axis=0, dtype=np.float64)
    levels = tokenizer.training["levels"]["fit"]
    return [
        *(reconstruction_error(tokenizer, part, mean) for part in (data.fit, data.held_out)),
        *(level["perplexity"] for level in levels),
        *(level["used"] for level in levels),
        seconds,
    ]


def rows(x: NDArray[np.float32], arguments: argparse.Namespace) -> Iterator[str]:
    """The lines of the table, means over the seeds."""
    heads = [f"{head}{level + 1}" for head in ("ppl", "used") for level in range(arguments.levels)]
    yield f"{'tokenizer':<30}" + "".join(f"{head:>8}" for head in ["fitted", "unseen", *heads, "sec"])
    for name in arguments.only or recipes(x.shape[1], config_of(arguments, 0)):
        table = []
        for seed in range(arguments.seeds):
            config = config_of(arguments, seed)
            table.append(figures(recipes(x.shape[1], config)[name], split(Sample(x, "bench"), config), config))
        yield f"{name:<30}" + "".join(f"{value:8.3f}" for value in np.mean(table, axis=0))


def config_of(arguments: argparse.Namespace, seed: int) -> Config:
    """Settings of one seed."""
    options = {
        "seed": seed,
        "tokenizer.codes": arguments.codes,
        "tokenizer.levels": arguments.levels,
        "sample.holdout": _UNSEEN,
        "train.device": "cpu",
    }
    return load_config(options=options, settings=arguments.set)


def main() -> None:
    """Read the arguments and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    for name, default in (("codes", 256), ("levels", 3), ("seeds", 1), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--only", nargs="*", help="names of the first column")
    parser.add_argument("--set", nargs="*", default=[], help="section.key=value")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for line in rows(load(arguments.folder).x, arguments):
        print(line, flush=True)


if __name__ == "__main__":
    main()
