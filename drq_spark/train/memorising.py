"""The guard against decoders that memorise: perfect on the items of the fit, worthless on any other.

Whatever the codes, the least a decoder must do is to keep up with additive tables, x_hat = sum_l t^l_{s^l}, solved for
the same codes on the same items. One that is far ahead of them on these items and behind on unseen ones has learned the
items, not the codes; every fidelity figure on its sample would be a delusion.
"""

from __future__ import annotations

import numpy as np

from drq_spark.errors import TrainingFailed
from drq_spark.tokenizer import Tokenizer
from drq_spark.tokenizer.network import ResidualMLP
from drq_spark.train.contract import TrainingData
from drq_spark.train.decode_tables import joint_least_squares
from drq_spark.train.evaluation import decoding_error, encoded

_JUDGED_ROWS = 20_000  # of each part
_AHEAD, _BEHIND = 0.8, 1.05  # times the error of the additive tables, on seen and on unseen items


def refuse_memorising_decoder(tokenizer: Tokenizer, data: TrainingData) -> None:
    """Check a trained decoder on seen and unseen items; one without trained weights cannot memorise.

    Raises:
        TrainingFailed: it memorises.
    """
    fit, unseen = data.fit[:_JUDGED_ROWS], data.held_out[:_JUDGED_ROWS]
    if not isinstance(tokenizer.decoder, ResidualMLP) or not len(unseen):
        return
    mean = fit.mean(axis=0, dtype=np.float64)
    fit_codes, unseen_codes = encoded(tokenizer, fit), encoded(tokenizer, unseen)
    nothing = [np.zeros((size, tokenizer.dim), np.float32) for size in tokenizer.codebook_sizes]
    tables = joint_least_squares((fit - mean).astype(np.float32), fit_codes, nothing)

    additive = Tokenizer("additive", tokenizer.dim, "none", tables, latent_rms=(0.0,) * tokenizer.levels)
    parts = ((fit, fit_codes), (unseen, unseen_codes))
    seen, other = (decoding_error(tokenizer, rows, codes, mean) for rows, codes in parts)
    centre, nowhere = mean.astype(np.float32), np.zeros(tokenizer.dim)
    seen_by, other_by = (decoding_error(additive, rows - centre, codes, nowhere) for rows, codes in parts)
    if seen < _AHEAD * seen_by and other > _BEHIND * other_by:
        raise TrainingFailed(
            f"the decoder of {tokenizer.kind} memorises items: its relative error is {seen:.3f} on items of the fit "
            f"and {other:.3f} on others, additive tables of the same codes have {seen_by:.3f} and {other_by:.3f}: "
            "make its hidden layer smaller, train for fewer steps, or raise sample.size"
        )
