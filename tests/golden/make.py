"""Makes the golden artifacts: a small tokenizer of each kind, some items, and what it gives for them.

`python tests/golden/make.py FOLDER` trains with whatever drq_spark the interpreter finds. What lies beside this file
was made at commit 4ef0715, before the code was moved into its rooms, with OMP_NUM_THREADS=1. It is made again only
where the format of artifacts changes, and then by the last commit that wrote the old one.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from drq_spark.config import load_config
from drq_spark.sample.values import Behaviour, Sample
from drq_spark.tokenizer import Tokenizer
from drq_spark.tokenizer.artifact import save_tokenizer
from drq_spark.train.driver import train_tokenizer

KINDS = ("drq", "rq_kmeans", "rq_vae", "rqp_vae", "drq_vae", "drq_vae_cl")
DIM = 12
SMALL: dict[str, Any] = {
    "tokenizer.codes": (9, 6, 5),
    "train.threads": 1,
    "train.device": "cpu",
    "train.kmeans.beam_rounds": 8,
    "train.behaviour.steps": 20,
    "train.behaviour.learning_rate": 1e-3,
    "train.behaviour.batch_size": 64,
    "train.behaviour.dim": 4,
    "train.behaviour.hidden": 8,
    "train.drq_vae_cl.steps": 20,
    "train.drq_vae_cl.batch_size": 64,
} | {
    f"train.{section}.{key}": value
    for section in ("drq_vae", "rq_vae", "rqp_vae")
    for key, value in {"latent_dim": 6, "hidden": 12, "epochs": 3, "batch_size": 64}.items()
}
OWN: dict[str, dict[str, Any]] = {
    "rq_kmeans": {"items.normalize": "l2"},
    "drq_vae": {"tokenizer.balance": 0.4, "tokenizer.beam": 3},
}


def sample() -> Sample:
    """Items around twenty centres in unequal numbers, and pairs of items whose last coordinates are near."""
    rng = np.random.default_rng(2026)
    centres = rng.normal(size=(20, DIM)) * np.linspace(2.0, 0.3, DIM)
    share = 1 / np.arange(1, 21)
    x = (centres[rng.choice(20, 900, p=share / share.sum())] + 0.3 * rng.normal(size=(900, DIM))).astype(np.float32)
    keys = rng.permutation(len(x)).astype(np.int64)
    order, first = np.argsort(x[:, -1], kind="stable"), rng.integers(0, len(x) - 30, 1000)
    pairs = order[np.stack([first, first + rng.integers(1, 30, 1000)], axis=1)]
    return Sample(x, "golden", keys, behaviour=Behaviour(x, keys, pairs[200:], pairs[:200]))


def expected(tokenizer: Tokenizer, x: Any) -> dict[str, Any]:
    """What the tokenizer gives for items float32 [n, D]."""
    encoding = tokenizer.encode(x)
    return {
        "x": x,
        "codes": encoding.codes,
        "keys": tokenizer.keys(encoding.codes),
        "margin": encoding.margin,
        "residual_square": encoding.residual_square,
        "decoded": tokenizer.decode(encoding.codes),
    }


def make(folder: Path) -> None:
    """Train and write everything; prints the ids of the tokenizers."""
    drawn = sample()
    for kind in KINDS:
        config = load_config(options={"tokenizer.name": kind} | SMALL | OWN.get(kind, {}))
        tokenizer = train_tokenizer(drawn, config)
        print(kind, Path(save_tokenizer(tokenizer, str(folder / kind))).name)
        clear = tokenizer.encode(drawn.x[:200]).margin.min(axis=1) > 1e-4  # whatever machine computes the latents
        np.savez(folder / f"{kind}.npz", **expected(tokenizer, drawn.x[:200][clear][:80]))


if __name__ == "__main__":
    make(Path(sys.argv[1]))
