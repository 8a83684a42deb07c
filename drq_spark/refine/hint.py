"""When passes over the whole catalogue would pay: the sample is a part of it, and books fit it better than the rest."""

from __future__ import annotations

from drq_spark.tokenizer import Tokenizer

_PART = 2  # items of the catalogue for each that was fitted, at least
_DEARER = 1.1  # unseen items leave so many times what fitted ones leave


def refinement_hint(tokenizer: Tokenizer, items: int) -> str | None:
    """What `train.refine` is likely to better, in words; None where it would not, or nothing is known of unseen items.

    Args:
        tokenizer: As it was fitted, with what training found.
        items: Of the catalogue.
    """
    levels, fitted = tokenizer.training["levels"], tokenizer.training["sample"]["fit"]
    if tokenizer.tables is None or not levels["held_out"] or items < _PART * fitted:
        return None
    seen, unseen = (levels[name][-1]["relative_mse"] for name in ("fit", "held_out"))
    if unseen <= _DEARER * seen:
        return None
    return (
        f"unseen items leave {unseen / seen - 1:.0%} more than the {fitted:,} of the sample that were fitted, of "
        f"{items:,}: train.refine=4 solves the books on all of them, or raise sample.size"
    )
