"""Rules about the codes of single levels.

Thresholds are guides from runs on catalogues of text embeddings; the gate decides, not these.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log

from drq_spark.metrics import EXPOSURE, ITEMS, Metric
from drq_spark.report.advice.evidence import Evidence
from drq_spark.report.advice.rule import ERRORS, Advice, Rule, has, where

# Half of what the items could use, or a perplexity of a quarter of it: where training warns of a collapse as well.
_LEAST_USED = 0.5
_LEAST_PERPLEXITY = 0.25
# Training restarts codes that fall empty, and a few stay so by chance; a tenth does not.
_DEAD = 0.1
# A penalty -ln D or -ln G above ln 2: half of the codes, or more, are paid for in vain.
_HALF = 0.5
# At the smallest eta a sound level loses next to nothing (G = 1.00 to two digits); a fifth is a codebook too fine.
_LEAST_STABLE = 0.8
# The same seen from the items: the smallest noise moves one in a hundred at level 1 of a sound tokenizer.
_FLIPPED = 0.2
# Popular items always crowd somewhat; less than half of what their skew leaves is worth a word.
_EXPOSURE_GAP = 0.5


def collapsed(seen: Evidence, found: Sequence[Advice]) -> Advice | None:
    """Almost all items have one of a few first codes."""
    used, even = seen.used(1), seen.figures.value(Metric.PERPLEXITY, 1)
    if used is None or even is None:
        return None
    usable = seen.usable(1)
    if used >= _LEAST_USED * usable and even >= _LEAST_PERPLEXITY * usable:
        return None
    return Advice(
        Rule.COLLAPSED, (1,), ITEMS,
        "Almost all items fall on a few first codes, so the first code tells next to nothing, and all that follow "
        "refine a few heaps.",
        "Start the books by k-means, restart unused codes and price the crowded ones. If that stays, look for "
        "embeddings that are nearly all the same.",
        "drq and rq_kmeans do all three (tokenizer.name, tokenizer.balance); rq_vae can start by k-means.",
        (
            (f"{Metric.UTILIZATION.value} of level 1", used / seen.sizes[0]),
            (f"{Metric.PERPLEXITY.value} of level 1", even),
            ("K", seen.sizes[0]),
        ),
    )  # fmt: skip


def dead(seen: Evidence, found: Sequence[Advice]) -> Advice | None:
    """Some codes are used by no item, though there are items enough."""
    unused = {
        level: used
        for level in seen.levels
        if (used := seen.used(level)) is not None
        and seen.usable(level) - used > _DEAD * seen.usable(level)
        and not has(found, level, Rule.COLLAPSED)
    }
    if not unused:
        return None
    return Advice(
        Rule.DEAD, tuple(unused), ITEMS,
        f"Codes that no item has at {where(tuple(unused))}: a model still carries them, and the others are the more "
        "crowded.",
        "Fewer codes there, or a tokenizer that restarts unused codes. Codes that died since training say that the "
        "catalogue has changed: train again.",
        "tokenizer.codes takes one number a level; drq, rq_kmeans and rqp_vae restart codes.",
        tuple((f"dead_codes of level {level}", seen.sizes[level - 1] - used) for level, used in unused.items()),
    )  # fmt: skip


def uneven(seen: Evidence, found: Sequence[Advice]) -> Advice | None:
    """The codes in use are used unevenly, and that costs most."""
    worst = {
        level: even
        for level in seen.levels
        if (even := seen.evenness(level)) is not None
        and even < _HALF
        and even
        <= (seen.figures.value(Metric.GEOMETRY, level, eta=seen.eta) or 1.0)  # the larger penalty: work on that
        and not has(found, level, Rule.COLLAPSED)
    }
    if not worst:
        return None
    return Advice(
        Rule.UNEVEN, tuple(worst), ITEMS,
        f"The items crowd into few of the codes in use at {where(tuple(worst))}: −ln D is the larger penalty, and "
        "takes more than half of the capacity.",
        "Price the crowded codes higher, or train on more items a code.",
        "Raise tokenizer.balance, or sample.size.",
        tuple((f"D among the codes in use, level {level}", even) for level, even in worst.items()),
    )  # fmt: skip


def unstable(seen: Evidence, found: Sequence[Advice]) -> Advice | None:
    """The smallest noise already swaps codes."""
    numbers: dict[int, tuple[str, float]] = {}
    eta = seen.smallest(Metric.GEOMETRY)
    for level in seen.levels:
        kept = None if eta is None else seen.figures.value(Metric.GEOMETRY, level, eta=eta)
        if kept is not None and kept < _LEAST_STABLE:
            numbers[level] = (f"{Metric.GEOMETRY.value} of level {level} at eta {eta:g}", kept)
    flips = seen.flips(1)
    if flips and flips[1].value - ERRORS * (flips[1].standard_error or 0.0) > _FLIPPED:
        numbers.setdefault(1, (flips[0], flips[1].value))
    if not numbers:
        return None
    levels = tuple(sorted(numbers))
    return Advice(
        Rule.UNSTABLE, levels, ITEMS,
        f"The codewords of {where(levels)} lie closer together than the smallest change moves an embedding: after "
        "the next training of the embedding model most codes there will be others.",
        "Far fewer codes on these levels, or embeddings that move less from version to version.",
        "tokenizer.codes takes one number a level; measure.embeddings_after measures how far embeddings really move.",
        tuple(numbers[level] for level in levels),
    )  # fmt: skip


def crowded(seen: Evidence, found: Sequence[Advice]) -> Advice | None:
    """Noise of the headline eta swaps codes, and that costs most."""
    close = {
        level: kept
        for level in seen.levels
        if (kept := seen.figures.value(Metric.GEOMETRY, level, eta=seen.eta)) is not None
        and kept < _HALF
        and kept < (seen.evenness(level) or 1.0)
        and not has(found, level, Rule.UNSTABLE, Rule.COLLAPSED)
    }
    if not close:
        return None
    return Advice(
        Rule.CROWDED, tuple(close), ITEMS,
        f"Small changes of an embedding swap the codes of {where(tuple(close))}: −ln G is the larger penalty, and "
        "takes more than half of the capacity.",
        "Fewer codes there would lose little; or a latent space in which they lie further apart, such as one of a VAE "
        "with fewer dimensions.",
        "tokenizer.codes takes one number a level; train.drq_vae.latent_dim is the dimensions of drq_vae.",
        tuple((f"−ln G of level {level} at eta {seen.eta:g}", -log(kept)) for level, kept in close.items()),
    )  # fmt: skip


def exposure(seen: Evidence, found: Sequence[Advice]) -> Advice | None:
    """Popular items crowd beyond what their skew explains."""
    skew = seen.figures.value(Metric.COLLISION_MASS, 0, EXPOSURE) or 0.0
    crowded: dict[int, tuple[float, float]] = {}
    for level in seen.levels:
        items, shown = (
            seen.figures.value(Metric.EFFECTIVE_CAPACITY, level, weighting, seen.eta) for weighting in (ITEMS, EXPOSURE)
        )
        if not items or shown is None:
            continue
        fair = 1 / (skew + (1 - skew) / items)  # expected where popular items lie no closer together than others
        if shown < _EXPOSURE_GAP * fair:
            crowded[level] = (shown, fair)
    if not crowded:
        return None
    return Advice(
        Rule.EXPOSURE, tuple(crowded), EXPOSURE,
        f"Popular items share codes at {where(tuple(crowded))}: as users meet the catalogue, not half of the capacity "
        "is left that it would have if popular items were spread like the others.",
        "Price codes by the exposure of their items, or train on popular items more often.",
        "tokenizer.balance_by=exposure does the one, sample.exposure_power the other.",
        tuple(
            number
            for level, (shown, fair) in crowded.items()
            for number in ((f"K_eff by exposure, level {level}", shown), (f"if spread, level {level}", fair))
        ),
    )  # fmt: skip
