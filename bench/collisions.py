"""What moving items apart gives and costs: `collisions.policy: spread` beside `suffix`, on one fit of `drq` a seed.

    python bench/collisions.py FOLDER [--seeds 3] [--threads 1] [--candidates 8 16] [--events]

FOLDER as for `tokenizers.py`. For each seed: unique SIDs (as a share of items), relative MSE, neighbour recall@20 and,
with events, retention@200 and AUC, of the encoder's SIDs, with books solved apart (`train.kmeans.apart_rounds`, 0 and
1); and of SIDs that are spread over the cheapest `candidates`, decode tables solved for them where there are no events.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from catalogues import load
from judge import Figures, Judge
from tokenizers import config_of, ours, reseeded

from drq_spark.arrays import I32
from drq_spark.config import Config
from drq_spark.sample.values import Sample
from drq_spark.tokenizer import Tokenizer
from drq_spark.train.apart import apart_codes
from drq_spark.train.decode_tables import decode_tables

_SHOWN = ("unique", "moved", "relative_mse", "recall@20", "retention@200", "auc_popularity")


def fitted(sample: Sample, seed: int, rounds: int, arguments: argparse.Namespace) -> Tokenizer:
    """`drq` fitted to all items."""
    config: Config = config_of("drq", seed, None, arguments)
    kmeans = config.train.kmeans.model_copy(update={"apart_rounds": rounds})
    whole = {
        "sample": config.sample.model_copy(update={"holdout": 0.0}),
        "train": config.train.model_copy(update={"kmeans": kmeans}),
    }
    return ours("drq")(sample, config.model_copy(update=whole))


def judged(judge: Judge, tokenizer: Tokenizer, codes: I32, own: I32) -> Figures:
    """The figures of a catalogue whose items have these codes; `own` are those of their embeddings."""
    return {**judge.of_codes(tokenizer, codes), "moved": float((codes != own).any(axis=1).mean())}


def main() -> None:
    """Read the arguments and print a line for each way, the means over the seeds, with the deviation of unique."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--candidates", type=int, nargs="*", default=[8, 16])
    parser.add_argument("--events", action="store_true")
    arguments = parser.parse_args()
    for name, value in (("codes", 256), ("levels", 3), ("set", [])):
        setattr(arguments, name, value)
    sample = load(arguments.folder)
    judge = Judge(sample)
    if not arguments.events:
        sample = replace(sample, behaviour=None)
    ceiling = len(np.unique(sample.x, axis=0)) / len(sample.x)
    print(f"{arguments.folder.name}: different embeddings {ceiling:.4f} of items; columns", *_SHOWN, flush=True)
    found: dict[str, list[Figures]] = {}
    for seed in range(arguments.seeds):
        for rounds in (0, 1):
            tokenizer = fitted(reseeded(sample, seed), seed, rounds, arguments)
            z, encoding = tokenizer.encode_prepared(tokenizer.prepare_input(sample.x))
            own = encoding.codes
            found.setdefault(f"suffix, apart_rounds {rounds}", []).append(judged(judge, tokenizer, own, own))
            for most in arguments.candidates if rounds else ():
                moved = apart_codes(tokenizer, z, own, most)
                tables = tokenizer.tables if arguments.events else decode_tables(z, moved, tokenizer.codebooks)
                name = f"spread over {most}"
                found.setdefault(name, []).append(judged(judge, replace(tokenizer, tables=tables), moved, own))
        for name, rows in found.items():
            cells = [f"{np.mean([row[key] for row in rows]):.4f}" for key in _SHOWN if key in rows[0]]
            deviation = np.std([row["unique"] for row in rows])
            print(f"{seed + 1} seeds {name:<24}", " ".join(cells), f"+-{deviation:.4f}", flush=True)


if __name__ == "__main__":
    main()
