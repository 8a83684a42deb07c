"""From figures to what is wrong and what to do about it: every such rule, once.

Rules look at the figures of a run in the order written below; one that explains a fault silences those that only see
its consequences. Thresholds are guides from runs on catalogues of text embeddings; the gate decides, not these.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from math import log, prod

from drq_spark.measure.values import MetricRow
from drq_spark.report.figures import Figures
from drq_spark.schemas import Metric

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
# A catalogue without copies has a few in a thousand.
_EXACT_DUPLICATES = 0.05
# Surplus of one item in ten; below it a suffix tells the few apart.
_EXCESS_DUPLICATES = 0.1
# N items thrown at random on ten times as many SIDs leave a surplus of 5 %: with more room, room is not what lacks.
_ROOM = 10
# A bucket worth a look, and far beyond the mean one: even use has none of ten times the mean and 50 items.
_CLUMP_ITEMS = 50
_CLUMP_TIMES = 10
# Sound tokenizers keep 0.7 and more of the hit rate at 200, and 0.3 and more of the 20 nearest neighbours.
_LEAST_RETENTION = 0.6
_FAIR_RECALL = 0.25
# Codes of content alone come within 0.02 of the raw embedding.
_AUC_LOST = 0.05
_ERRORS = 2  # standard errors that an estimate must be beyond a threshold


class Rule(str, Enum):
    """Names of the rules; the values are the words on the page."""

    COLLAPSED = "The first level has collapsed"
    DEAD = "Dead codes"
    UNEVEN = "Uneven use"
    UNSTABLE = "Codes finer than the embeddings are stable"
    CROWDED = "Codewords too close to each other"
    EXPOSURE = "Exposure crowds into few codes"
    DUPLICATES = "Copies in the catalogue"
    TOO_SMALL = "Too few SIDs for the catalogue"
    CLUMPED = "Clumps of near-duplicates"
    BEHAVIOUR = "Behaviour is lost"


@dataclass(frozen=True)
class Advice:
    """What is wrong, by one rule.

    Attributes:
        rule: which. levels: where, from 1; empty for whole SIDs. weighting: by items or by exposure.
        cause, remedy: sentences. numbers: (name, value) of the figures that triggered the rule.
    """

    rule: Rule
    levels: tuple[int, ...]
    weighting: str
    cause: str
    remedy: str
    numbers: tuple[tuple[str, float], ...]


def advice(figures: Sequence[MetricRow], codebook_sizes: Sequence[int], headline_eta: float) -> list[Advice]:
    """What is wrong with a run and what to do, worst first; nothing for a sound one.

    Args:
        figures: rows of the metrics table; a rule without its figures is silent. codebook_sizes: K per level.
        headline_eta: the eta of the capacity figures.
    """
    seen = Figures(figures, tuple(codebook_sizes), headline_eta)
    rules: tuple[Callable[[Figures, Sequence[Advice]], Advice | None], ...] = (
        _collapsed, _dead, _uneven, _unstable, _crowded, _exposure, _duplicates, _too_small, _clumped, _behaviour,
    )  # fmt: skip
    found: list[Advice] = []
    for rule in rules:
        result = rule(seen, found)
        if result is not None:
            found.append(result)
    return found


def _has(found: Sequence[Advice], level: int, *rules: Rule) -> bool:
    return any(entry.rule in rules and level in entry.levels for entry in found)


def _where(levels: Sequence[int]) -> str:
    return f"level{'s' * (len(levels) > 1)} {', '.join(map(str, levels))}"


def _collapsed(seen: Figures, found: Sequence[Advice]) -> Advice | None:
    used, even = seen.used(1), seen.value(Metric.PERPLEXITY, 1)
    if used is None or even is None:
        return None
    usable = seen.usable(1)
    if used >= _LEAST_USED * usable and even >= _LEAST_PERPLEXITY * usable:
        return None
    return Advice(
        Rule.COLLAPSED, (1,), "items",
        "Almost all items fall on a few first codes, so the first code tells next to nothing, and all that follow "
        "refine a few heaps.",
        "Train with drq or rq_kmeans, which restart unused codes and price the crowded ones (tokenizer.balance); "
        "with rq_vae start the books by k-means. If that stays, look for embeddings that are nearly all the same.",
        (("utilization of level 1", used / seen.sizes[0]), ("perplexity of level 1", even), ("K", seen.sizes[0])),
    )  # fmt: skip


def _dead(seen: Figures, found: Sequence[Advice]) -> Advice | None:
    dead = {
        level: used
        for level in seen.levels
        if (used := seen.used(level)) is not None
        and seen.usable(level) - used > _DEAD * seen.usable(level)
        and not _has(found, level, Rule.COLLAPSED)
    }
    if not dead:
        return None
    return Advice(
        Rule.DEAD, tuple(dead), "items",
        f"Codes that no item has at {_where(tuple(dead))}: a model still carries them, and the others are the more "
        "crowded.",
        "Fewer codes there (tokenizer.codes takes one number a level), or a tokenizer that restarts unused codes: "
        "drq, rq_kmeans, rqp_vae. Codes that died since training say that the catalogue has changed: train again.",
        tuple((f"dead_codes of level {level}", seen.sizes[level - 1] - used) for level, used in dead.items()),
    )  # fmt: skip


def _uneven(seen: Figures, found: Sequence[Advice]) -> Advice | None:
    worst = {
        level: even
        for level in seen.levels
        if (even := seen.evenness(level)) is not None
        and even < _HALF
        and even <= (seen.value(Metric.GEOMETRY, level, eta=seen.eta) or 1.0)  # the larger penalty: work on that
        and not _has(found, level, Rule.COLLAPSED)
    }
    if not worst:
        return None
    return Advice(
        Rule.UNEVEN, tuple(worst), "items",
        f"Every code may be in use, but the items crowd into few of them at {_where(tuple(worst))}: -ln D is the "
        "larger penalty, and less than half of the capacity is left by it.",
        "Raise tokenizer.balance, or draw more items a code (sample.size).",
        tuple((f"D among the codes in use, level {level}", even) for level, even in worst.items()),
    )  # fmt: skip


def _unstable(seen: Figures, found: Sequence[Advice]) -> Advice | None:
    numbers: dict[int, tuple[str, float]] = {}
    eta = seen.smallest(Metric.GEOMETRY)
    for level in seen.levels:
        kept = None if eta is None else seen.value(Metric.GEOMETRY, level, eta=eta)
        if kept is not None and kept < _LEAST_STABLE:
            numbers[level] = (f"geometry of level {level} at eta {eta:g}", kept)
    flips = seen.flips(1)
    if flips and flips[1].value - _ERRORS * (flips[1].standard_error or 0.0) > _FLIPPED:
        numbers.setdefault(1, (flips[0], flips[1].value))
    if not numbers:
        return None
    levels = tuple(sorted(numbers))
    return Advice(
        Rule.UNSTABLE, levels, "items",
        f"The codewords of {_where(levels)} lie closer together than the smallest change moves an embedding: after "
        "the next training of the embedding model most codes there will be others.",
        "Far fewer codes on these levels, or embeddings that move less from version to version; --embeddings-after "
        "measures how far they really move.",
        tuple(numbers[level] for level in levels),
    )  # fmt: skip


def _crowded(seen: Figures, found: Sequence[Advice]) -> Advice | None:
    close = {
        level: kept
        for level in seen.levels
        if (kept := seen.value(Metric.GEOMETRY, level, eta=seen.eta)) is not None
        and kept < _HALF
        and kept < (seen.evenness(level) or 1.0)
        and not _has(found, level, Rule.UNSTABLE, Rule.COLLAPSED)
    }
    if not close:
        return None
    return Advice(
        Rule.CROWDED, tuple(close), "items",
        f"Small changes of an embedding swap the codes of {_where(tuple(close))}: -ln G is the larger penalty, and "
        "less than half of the capacity is left by it.",
        "Fewer codes there would lose little; or a latent space in which they lie further apart (drq, or fewer "
        "latent dimensions of a VAE).",
        tuple((f"-ln G of level {level} at eta {seen.eta:g}", -log(kept)) for level, kept in close.items()),
    )  # fmt: skip


def _exposure(seen: Figures, found: Sequence[Advice]) -> Advice | None:
    skew = seen.value(Metric.COLLISION_MASS, 0, "exposure") or 0.0
    crowded: dict[int, tuple[float, float]] = {}
    for level in seen.levels:
        items, shown = (
            seen.value(Metric.EFFECTIVE_CAPACITY, level, weighting, seen.eta) for weighting in ("items", "exposure")
        )
        if not items or shown is None:
            continue
        fair = 1 / (skew + (1 - skew) / items)  # expected where popular items lie no closer together than others
        if shown < _EXPOSURE_GAP * fair:
            crowded[level] = (shown, fair)
    if not crowded:
        return None
    return Advice(
        Rule.EXPOSURE, tuple(crowded), "exposure",
        f"Popular items share codes at {_where(tuple(crowded))}: as users meet the catalogue, not half of the capacity "
        "is left that it would have if popular items were spread like the others.",
        "tokenizer.balance_by=exposure evens that out; sample.exposure_power draws popular items into the sample "
        "more often.",
        tuple(
            number
            for level, (shown, fair) in crowded.items()
            for number in ((f"K_eff by exposure, level {level}", shown), (f"if spread, level {level}", fair))
        ),
    )  # fmt: skip


def _duplicates(seen: Figures, found: Sequence[Advice]) -> Advice | None:
    rate = seen.value(Metric.EXACT_DUPLICATE_RATE)
    if rate is None or rate <= _EXACT_DUPLICATES:
        return None
    return Advice(
        Rule.DUPLICATES, (), "items",
        "Many items have the embedding of another one: no tokenizer can give them SIDs of their own.",
        "Merge the copies before the run, or embed what tells them apart; the suffix of sids numbers what stays.",
        (("exact_duplicate_rate", rate),),
    )  # fmt: skip


def _too_small(seen: Figures, found: Sequence[Advice]) -> Advice | None:
    excess, distinct = seen.value(Metric.EXCESS_DUPLICATE_RATE), seen.distinct
    if excess is None or distinct is None or excess <= _EXCESS_DUPLICATES or prod(seen.sizes) >= _ROOM * distinct:
        return None
    if any(entry.rule in (Rule.COLLAPSED, Rule.DEAD, Rule.UNEVEN) for entry in found):
        return None  # the SIDs there are would do if they were used
    return Advice(
        Rule.TOO_SMALL, (), "items",
        "The codes are used evenly, and still many different items share a SID: there are too few combinations for "
        "so many items.",
        "A further level (tokenizer.levels) multiplies the SIDs by K; more codes a level (tokenizer.codes) help "
        "less.",
        (("excess_duplicate_rate", excess), ("possible SIDs", prod(seen.sizes)), ("different embeddings", distinct)),
    )  # fmt: skip


def _clumped(seen: Figures, found: Sequence[Advice]) -> Advice | None:
    items, unique = seen.value(Metric.ITEMS), seen.value(Metric.UNIQUE_SIDS)
    largest, excess = seen.value(Metric.LARGEST_BUCKET), seen.value(Metric.EXCESS_DUPLICATE_RATE)
    if not items or not unique or largest is None or excess is None:
        return None
    explained = 1 + items * (seen.value(Metric.EXACT_DUPLICATE_RATE) or 0.0)  # if all copies were in one bucket
    bucket = largest > max(_CLUMP_ITEMS, _CLUMP_TIMES * items / unique, explained)
    roomy = prod(seen.sizes) >= _ROOM * (seen.distinct or items)
    usage = any(entry.rule in (Rule.COLLAPSED, Rule.DEAD, Rule.UNEVEN) for entry in found)
    if not bucket and not (excess > _EXCESS_DUPLICATES and roomy and not usage):
        return None
    return Advice(
        Rule.CLUMPED, (), "items",
        "Different embeddings so near to each other that all levels together do not tell them apart, though there "
        "are SIDs enough.",
        "Look at the largest buckets: copies with other texts are better merged; variants of a product need an "
        "embedding that tells them apart. A further level splits what is left.",
        (("largest_bucket", largest), ("excess_duplicate_rate", excess), ("items per SID", items / unique)),
    )  # fmt: skip


def _behaviour(seen: Figures, found: Sequence[Advice]) -> Advice | None:
    numbers: list[tuple[str, float]] = []
    kept, near = seen.row(Metric.RETENTION_200), seen.value(Metric.NEIGHBOUR_RECALL_20)
    if kept and near is not None and near >= _FAIR_RECALL:
        if kept.value + _ERRORS * (kept.standard_error or 0.0) < _LEAST_RETENTION:
            numbers += [(Metric.RETENTION_200.value, kept.value), (Metric.NEIGHBOUR_RECALL_20.value, near)]
    raw, summed = seen.row(Metric.AUC_RAW_UNIFORM), seen.row(Metric.AUC_SUM_UNIFORM)
    if raw and summed:
        error = ((raw.standard_error or 0.0) ** 2 + (summed.standard_error or 0.0) ** 2) ** 0.5
        if raw.value - summed.value > _AUC_LOST + _ERRORS * error:
            numbers += [(Metric.AUC_SUM_UNIFORM.value, summed.value), (Metric.AUC_RAW_UNIFORM.value, raw.value)]
    if not numbers:
        return None
    return Advice(
        Rule.BEHAVIOUR, (), "items",
        "The codes keep what items look like, but not which of them users take one after the other.",
        "Give --events to drq or drq_vae_cl, so that the codes learn from behaviour; a further level keeps more of "
        "both.",
        tuple(numbers),
    )  # fmt: skip
