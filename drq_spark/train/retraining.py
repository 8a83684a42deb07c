"""Train anew from the tokenizer that readers follow, so that its SIDs stay where they can.

The encoder stays: a behaviour direction that were learned anew would turn all latents for nothing, and what behaviour
has to say tonight goes into the decode tables. Books start at the old ones, under a pull that the stability budget
chooses (`train.stability`). Where the embedding model is another one, the old tokenizer is turned into its space first
(`train.alignment`). Books without a common start, those of networks that are trained end to end, of another shape, or
of an encoder that cannot be turned, are fitted freely, and so are those whose budget allows no pull; their codes are
then renamed by the best matching (`train.matching`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from math import isinf
from typing import Any

import numpy as np

from drq_spark.config import Config
from drq_spark.progress import Progress
from drq_spark.tokenizer import Tokenizer
from drq_spark.tokenizer.artifact import tokenizer_id
from drq_spark.tokenizer.network import BehaviourEncoder
from drq_spark.train.alignment import similarity, turned
from drq_spark.train.contract import UNKNOWN, Before, Trainer, TrainingData
from drq_spark.train.drq import budget_part, with_readout
from drq_spark.train.evaluation import encoded
from drq_spark.train.latents import Latents, latents_of
from drq_spark.train.matching import renamed
from drq_spark.train.residual import noted, quantized
from drq_spark.train.stability import Frontier, Rung, frontier, kept_by, start_of_fit

_SAME_SPACE = (
    0.5  # of the old items that the old tokenizer gives their SID; with fewer the embeddings are a new model's
)
_JUDGED_ROWS = 20_000  # that decide it
_OF_THE_ENCODER = ("behaviour", "fidelity_budget", "vae", "contrast")  # what an artifact tells of a frozen encoder


def retrained(trainer: Trainer, data: TrainingData, config: Config, progress: Progress) -> Tokenizer:
    """The tokenizer that keeps as many SIDs as the stability budget allows; `training["retrained"]` tells how.

    Args:
        trainer: What fits freely.
        data: The sample, with `before`.
        config: All settings.
        progress: Is told what happens.

    Raises:
        InputRefused, TrainingFailed: as the trainer.
    """
    assert data.before is not None  # else it is a training like any other
    old = data.before.tokenizer
    told: dict[str, Any] = {"from": tokenizer_id(old), "budget": config.train.stability.budget}
    rung, aligned = None, is_elsewhere(data, data.before)
    if has_common_start(old, config, aligned=aligned):
        ready = replace(data, before=in_space(data, data.before)) if aligned else data
        found = frontier(*_part(ready, config), config, progress)
        rung = found.chosen(config.train.stability.budget)
        told |= {"aligned": aligned, "frontier": _described(found), "free_unseen_relative_mse": found.free}
    if rung is None:
        free = trainer.fit(replace(data, before=None), config, progress)
        tokenizer = _matched(free, data, data.before)
        told["start"] = "matching"
    else:
        tokenizer = _warm(ready, rung, config, progress)
        told |= {"start": "books", **_pull_of(rung)}
    if _alike(old, tokenizer):
        kept, by_level = kept_by(encoded(tokenizer, data.prepared), data.before.codes)
        told |= {"kept": kept, "kept_by_level": list(by_level)}
    return noted(tokenizer, {"retrained": told})


def is_elsewhere(data: TrainingData, before: Before) -> bool:
    """Whether the embeddings are those of another model than the old tokenizer's."""
    if before.tokenizer.dim != data.prepared.shape[1]:
        return True
    rows = np.flatnonzero((before.codes != UNKNOWN).all(axis=1))[:_JUDGED_ROWS]
    return kept_by(encoded(before.tokenizer, data.prepared[rows]), before.codes[rows])[0] < _SAME_SPACE


def has_common_start(old: Tokenizer, config: Config, *, aligned: bool) -> bool:
    """Whether books of the present settings can begin at those of the old tokenizer."""
    shape = (config.tokenizer.name, config.tokenizer.codebook_sizes, config.tokenizer.beam_width)
    if not config.tokenizer.kind.dataset_books or shape != (old.kind, old.codebook_sizes, old.beam):
        return False
    return not aligned or old.encoder is None or isinstance(old.encoder, BehaviourEncoder)


def in_space(data: TrainingData, before: Before) -> Before:
    """The old tokenizer in the space of the new embeddings, by the items that both catalogues have."""
    rows = np.flatnonzero((before.codes[data.held_out_rows :] != UNKNOWN).all(axis=1))
    by = similarity(before.tokenizer, data.fit[rows], before.codes[data.held_out_rows :][rows])
    return replace(before, tokenizer=turned(before.tokenizer, by))


def _part(data: TrainingData, config: Config) -> tuple[TrainingData, Latents]:
    """Some of the fit rows, split again, and their latents."""
    part = budget_part(data, config)
    return part, latents_before(part)


def latents_before(data: TrainingData) -> Latents:
    """The latents of the old tokenizer."""
    assert data.before is not None
    old = data.before.tokenizer
    z = data.prepared if old.encoder is None else latents_of(old.encoder, data.prepared)
    return Latents(z, old.encoder, old.decoder, old.weights)


def _warm(data: TrainingData, rung: Rung, config: Config, progress: Progress) -> Tokenizer:
    """Books from where they stood, and tables solved and learned anew."""
    assert data.before is not None
    fitted = quantized(data, latents_before(data), config, progress, start_of_fit(data, rung.pull))
    training = data.before.tokenizer.training
    inherited = {name: training[name] for name in _OF_THE_ENCODER if name in training}
    if data.behaviour is None or not isinstance(data.before.tokenizer.encoder, BehaviourEncoder):
        return noted(fitted.tokenizer, inherited)
    weight = float(training["fidelity_budget"]["table_weight"])
    return noted(with_readout(fitted, data, weight, config, progress), inherited)


def _matched(free: Tokenizer, data: TrainingData, before: Before) -> Tokenizer:
    """The free fit under the numbers that keep most codes of the old items; as it is where shapes differ."""
    if not _alike(before.tokenizer, free):
        return free
    rows = (before.codes != UNKNOWN).all(axis=1)
    return renamed(free, encoded(free, data.prepared[rows]), before.codes[rows])


def _alike(old: Tokenizer, new: Tokenizer) -> bool:
    return old.codebook_sizes == new.codebook_sizes


def _described(found: Frontier) -> list[dict[str, Any]]:
    """The ladder as plain JSON."""
    return [
        {**_pull_of(rung), "kept": rung.kept, "unseen_relative_mse": rung.unseen_relative_mse} for rung in found.rungs
    ]


def _pull_of(rung: Rung) -> Mapping[str, Any]:
    """JSON has no infinity: a pull of None holds the books where they are."""
    pull = asdict(rung.pull)
    return {"pull": None if isinf(pull["strength"]) else pull["strength"], "freed": pull["freed"]}
