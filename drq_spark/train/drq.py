"""`drq`: the paper's separation of geometry and distribution, carried through to codes that serve all three axes.

Geometry is frozen before any code is learned: z = [x - m ; a (g(x) - mean g)], the embedding as it is (a rotation or
a trained encoder gains nothing after quantization) and, where there are events, a direction g that is learned from
behaviour. Distribution is dataset-level: residual k-means with restarts, prices that even out the use of codes, and a
beam whose paths the books are refitted to. Without events it is the content alone.

What behaviour may cost is decided by fidelity: levels weigh the behaviour part by w_l^2 = s 2^-l / readout (the last
choice of a beam by s / readout), and s is the scale at which the relative error of unseen items exceeds that of s = 0
by a part of `train.drq.fidelity_slack`, read off a straight line through fits at both ends. The rest of the
slack goes to the decode tables, which are learned from the pairs too (`drq_spark.train.readout`). No figure of
behaviour is looked at. The tables hold the behaviour part at full length (its variance `_READOUT` times that of the
content), so the sum of a SID's table rows carries it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drq_spark.arrays import F32
from drq_spark.blocks import row_blocks
from drq_spark.config import Config
from drq_spark.progress import SILENT, Progress
from drq_spark.tokenizer import Tokenizer
from drq_spark.tokenizer.network import BehaviourEncoder, ContentDecoder
from drq_spark.train.behaviour_auc import held_out_auc
from drq_spark.train.behaviour_encoder import BehaviourModel, train_behaviour
from drq_spark.train.contract import TrainingData, TrainingPairs
from drq_spark.train.evaluation import encoded, reconstruction_error
from drq_spark.train.kmeans import require_rows
from drq_spark.train.latents import Latents, latents_of
from drq_spark.train.memory import books_bytes, prepared_bytes
from drq_spark.train.readout import Readout, chosen_weight
from drq_spark.train.residual import Fitted, noted, quantized

_READOUT = 4.0  # variance of the behaviour part of the latent, in that of the content; free for the codes
_SCALES = (0.0, 1.0)  # the ends say as much of a line's slope as five fits in between
_SLACK_OF_CODES = 5 / 6  # who uses SIDs sees codes alone; the rest buys tables, for who uses reconstructions
_BUDGET_ROWS = 20_000  # of the fits that find the scale, where K is small
_BUDGET_ROWS_PER_CODE = 32
_BUDGET_ROUNDS = 16  # of the beam: more lower every error alike
_BUDGET_HELD_OUT = 0.25
_LEAST_JUDGED = 100  # items; the error of fewer is chance
_TOO_FEW = (
    f"fewer than {_LEAST_JUDGED} items could judge what behaviour costs, so codes and tables follow the content alone: "
    "bring more items, or lower tokenizer.codes"
)


class DrqTrainer:
    """Trainer of `drq`; see `drq_spark.train.contract.Trainer`."""

    def memory_bytes(self, rows: int, dim: int, config: Config) -> int:
        """Bytes of the prepared sample, of its latents where there are events, and of what the books need."""
        if not config.trains_on_events:
            return prepared_bytes(rows, dim) + books_bytes(rows, dim, config)
        latent_dim = dim + config.train.behaviour.dim
        return prepared_bytes(rows, dim + latent_dim) + books_bytes(rows, latent_dim, config)

    def fit(self, data: TrainingData, config: Config, progress: Progress) -> Tokenizer:
        """Learn from behaviour where there is some, choose its weight, and fit books to the latents."""
        require_rows(len(data.fit), config.tokenizer.codebook_sizes)
        if data.behaviour is None:
            return quantized(data, Latents(data.prepared), config, progress).tokenizer
        model = train_behaviour(data, config, progress)
        encoder = behaviour_encoder(model, data.fit)
        geometry = _Geometry(encoder, latents_of(encoder, data.prepared))
        chosen = _budget(data, geometry, config, progress)
        fitted = quantized(data, geometry.weighed(chosen.code_weight, config), config, progress)
        learned = with_readout(fitted, data, chosen.table_weight, config, progress)
        described = {"behaviour": model.figures, "fidelity_budget": asdict(chosen)}
        return noted(learned, described, [] if config.train.drq.fidelity_slack == 0 or chosen.scales else [_TOO_FEW])


def with_readout(fitted: Fitted, data: TrainingData, weight: float, config: Config, progress: Progress) -> Tokenizer:
    """The tokenizer with tables that are learned from the pairs, too, under a weight; notes how its SIDs serve them."""
    assert data.behaviour is not None  # else there is nothing to learn from
    readout = _readout(fitted, data.fit, data.behaviour)
    learned = readout.learned(weight, config, progress)
    return noted(learned, {"sid": _sid_auc(learned, readout.pair_codes, data.behaviour, config)})


def behaviour_encoder(model: BehaviourModel, fit: F32) -> BehaviourEncoder:
    """The encoder whose behaviour part has `_READOUT` times the variance of the content of the fit rows."""
    mean = fit.mean(axis=0, dtype=np.float64)
    directions = model.embed(fit)
    centre = directions.mean(axis=0, dtype=np.float64)
    content = sum(float(np.square(fit[block] - mean).sum()) for block in row_blocks(*fit.shape))
    behaviour = sum(float(np.square(directions[block] - centre).sum()) for block in row_blocks(*directions.shape))
    scale = (_READOUT * content / behaviour) ** 0.5 if behaviour > 0 else 0.0
    return BehaviourEncoder(
        network=model.network,
        shift=mean.astype(np.float32),
        centre=centre.astype(np.float32),
        scale=np.array([scale], np.float32),
    )


def level_weights(encoder: BehaviourEncoder, scale: float, config: Config) -> tuple[F32, ...]:
    """Diagonal of W per level, float32 [d]: 1 for the content, w_l for the behaviour part.

    Early levels carry behaviour, late ones content: that costs less fidelity than equal weights at the same AUC. The
    last choice of a beam is between whole paths, so it weighs behaviour as the first level does.
    """
    levels, content = config.tokenizer.levels, encoder.shift
    shares = [0.5**level for level in range(levels)]
    if config.tokenizer.beam_width > 1:
        shares[-1] = 1.0
    parts = [np.full(encoder.network.width_out, (share * scale / _READOUT) ** 0.5) for share in shares]
    return tuple(np.concatenate([np.ones_like(content), part]).astype(np.float32) for part in parts)


@dataclass(frozen=True)
class _Geometry:
    """What is frozen before any code is learned.

    Attributes:
        encoder: Content and direction.
        z: float32 [n, d], its latents of some rows of the sample.
    """

    encoder: BehaviourEncoder
    z: F32

    def weighed(self, scale: float, config: Config) -> Latents:
        """The latents in the metrics of `level_weights`."""
        decoder = ContentDecoder(self.encoder.shift, self.encoder.width_out)
        return Latents(self.z, self.encoder, decoder, level_weights(self.encoder, scale, config))


@dataclass(frozen=True)
class _Budget:
    """What behaviour may cost, and how it was found.

    Attributes:
        code_weight: Scale of the behaviour weights of the levels.
        table_weight: Weight of InfoNCE while tables are learned.
        items: Number of items that were fitted and judged.
        scales, unseen_relative_mse, line: Relative error of unseen items at some scales, and the line (at 0, slope)
            through them.
        tables: See `readout.chosen_weight`.
    """

    code_weight: float
    table_weight: float
    items: int
    scales: list[float]
    unseen_relative_mse: list[float]
    line: list[float]
    tables: dict[str, list[float]]


def _budget(data: TrainingData, geometry: _Geometry, config: Config, progress: Progress) -> _Budget:
    """The weights that the slack allows: a part of it goes to the codes, the rest to the tables."""
    part = budget_part(data, config)
    slack = config.train.drq.fidelity_slack
    if slack == 0 or len(part.held_out) < _LEAST_JUDGED:  # behaviour is read out, and nothing is spent on it
        return _Budget(0.0, 0.0, len(part.prepared), [], [], [], {})
    assert data.behaviour is not None  # else there is nothing to weigh
    of_part = replace(geometry, z=geometry.z[data.held_out_rows : data.held_out_rows + len(part.prepared)])
    mean, errors, fits, brief = part.fit.mean(axis=0, dtype=np.float64), [], [], _brief(config)
    for done, scale in enumerate(_SCALES):
        fits.append(quantized(part, of_part.weighed(scale, brief), brief, SILENT.progress))
        errors.append(reconstruction_error(fits[-1].tokenizer, part.held_out, mean))
        progress("behaviour weight", done + 1, len(_SCALES) + 1, scale=scale, held_out_relative_mse=errors[-1])
    slope, base = np.polyfit(_SCALES, errors, 1).tolist()
    allowed = slack * _SLACK_OF_CODES * base
    scale = min(max(allowed / slope, 0.0), max(_SCALES)) if slope > 0 else max(_SCALES)
    nearest = min(range(len(_SCALES)), key=lambda end: abs(_SCALES[end] - scale))
    readout = _readout(fits[nearest], part.fit, data.behaviour)
    weight, tables = chosen_weight(readout, part.held_out, slack * (1 - _SLACK_OF_CODES), config)
    progress("behaviour weight", len(_SCALES) + 1, len(_SCALES) + 1, scale=scale, tables=weight)
    return _Budget(scale, weight, len(part.prepared), list(_SCALES), errors, [base, slope], tables)


def _brief(config: Config) -> Config:
    """The settings of fits that are only compared with each other."""
    kmeans = config.train.kmeans
    fewer = kmeans.model_copy(update={"beam_rounds": min(kmeans.beam_rounds, _BUDGET_ROUNDS), "apart_rounds": 0})
    return config.model_copy(update={"train": config.train.model_copy(update={"kmeans": fewer})})


def _readout(fitted: Fitted, rows: F32, behaviour: TrainingPairs) -> Readout:
    """What the tables of a tokenizer are learned from: the rows it was fitted to, and the pairs."""
    pair_codes = encoded(fitted.tokenizer, behaviour.prepared)
    return Readout(fitted.tokenizer, rows, fitted.codes, pair_codes, behaviour.pairs)


def _sid_auc(
    tokenizer: Tokenizer, pair_codes: NDArray[np.int32], behaviour: TrainingPairs, config: Config
) -> dict[str, Any]:
    """AUC of the SID's embedding, the sum of its table rows, on pairs of users that training did not see."""
    embedding = np.empty((len(pair_codes), tokenizer.latent_dim), np.float32)
    for block in row_blocks(*embedding.shape):
        embedding[block] = tokenizer.decode_latent(pair_codes[block])
    return held_out_auc({"auc": embedding}, behaviour, config.seed)


def budget_part(data: TrainingData, config: Config) -> TrainingData:
    """Some of the fit rows (they are in random order), split again."""
    wanted = max(_BUDGET_ROWS, _BUDGET_ROWS_PER_CODE * max(config.tokenizer.codebook_sizes))
    rows = data.fit[:wanted]
    least = max(config.tokenizer.codebook_sizes)
    held_out = min(int(_BUDGET_HELD_OUT * len(rows)), len(rows) - least)
    return data.some(slice(data.held_out_rows, data.held_out_rows + len(rows)), held_out)
