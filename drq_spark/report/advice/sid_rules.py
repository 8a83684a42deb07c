"""Rules about whole SIDs.

Thresholds are guides from runs on catalogues of text embeddings; the gate decides, not these.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from drq_spark.metrics import ITEMS, Metric
from drq_spark.report.advice.evidence import Evidence
from drq_spark.report.advice.rule import ERRORS, Advice, Rule

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


def duplicates(seen: Evidence, found: Sequence[Advice]) -> Advice | None:
    """Items have equal embeddings."""
    rate = seen.figures.value(Metric.EXACT_DUPLICATE_RATE)
    if rate is None or rate <= _EXACT_DUPLICATES:
        return None
    return Advice(
        Rule.DUPLICATES, (), ITEMS,
        "Many items have the embedding of another one: no tokenizer can give them SIDs of their own.",
        "Merge the copies before SIDs are made, or embed what tells them apart.",
        "The suffix of the sids table numbers what stays.",
        ((Metric.EXACT_DUPLICATE_RATE.value, rate),),
    )  # fmt: skip


def too_small(seen: Evidence, found: Sequence[Advice]) -> Advice | None:
    """SIDs are used evenly, and still there are fewer than the items need."""
    excess, distinct = seen.figures.value(Metric.EXCESS_DUPLICATE_RATE), seen.distinct
    if excess is None or distinct is None or excess <= _EXCESS_DUPLICATES or prod(seen.sizes) >= _ROOM * distinct:
        return None
    if any(entry.rule in (Rule.COLLAPSED, Rule.DEAD, Rule.UNEVEN) for entry in found):
        return None  # the SIDs there are would do if they were used
    return Advice(
        Rule.TOO_SMALL, (), ITEMS,
        "The codes are used evenly, and still many different items share a SID: there are too few combinations for "
        "so many items.",
        "A further level multiplies the SIDs by K; more codes a level help less.",
        "tokenizer.levels and tokenizer.codes; drq plan proposes both.",
        (
            (Metric.EXCESS_DUPLICATE_RATE.value, excess),
            ("possible SIDs", prod(seen.sizes)),
            ("different embeddings", distinct),
        ),
    )  # fmt: skip


def clumped(seen: Evidence, found: Sequence[Advice]) -> Advice | None:
    """Many different items have one SID, although there is room for them."""
    items, unique = seen.figures.value(Metric.ITEMS), seen.figures.value(Metric.UNIQUE_SIDS)
    largest, excess = seen.figures.value(Metric.LARGEST_BUCKET), seen.figures.value(Metric.EXCESS_DUPLICATE_RATE)
    if not items or not unique or largest is None or excess is None:
        return None
    explained = 1 + items * (seen.figures.value(Metric.EXACT_DUPLICATE_RATE) or 0.0)  # if all copies were in one bucket
    bucket = largest > max(_CLUMP_ITEMS, _CLUMP_TIMES * items / unique, explained)
    roomy = prod(seen.sizes) >= _ROOM * (seen.distinct or items)
    usage = any(entry.rule in (Rule.COLLAPSED, Rule.DEAD, Rule.UNEVEN) for entry in found)
    if not bucket and not (excess > _EXCESS_DUPLICATES and roomy and not usage):
        return None
    return Advice(
        Rule.CLUMPED, (), ITEMS,
        "Different embeddings so near to each other that all levels together do not tell them apart, though there "
        "are SIDs enough.",
        "Look at the largest buckets: copies with other texts are better merged; variants of a product need an "
        "embedding that tells them apart. A further level splits what is left.",
        "tokenizer.levels; drq plan says how many would do.",
        (
            (Metric.LARGEST_BUCKET.value, largest),
            (Metric.EXCESS_DUPLICATE_RATE.value, excess),
            ("items per SID", items / unique),
        ),
    )  # fmt: skip


def behaviour(seen: Evidence, found: Sequence[Advice]) -> Advice | None:
    """Neighbours are kept, what users do is not."""
    numbers: list[tuple[str, float]] = []
    kept, near = seen.figures.row(Metric.RETENTION_200), seen.figures.value(Metric.NEIGHBOUR_RECALL_20)
    lost = kept is not None and kept.value + ERRORS * (kept.standard_error or 0.0) < _LEAST_RETENTION
    if kept is not None and near is not None and lost and near >= _FAIR_RECALL:
        numbers += [(Metric.RETENTION_200.value, kept.value), (Metric.NEIGHBOUR_RECALL_20.value, near)]
    raw, summed = seen.figures.row(Metric.AUC_RAW_UNIFORM), seen.figures.row(Metric.AUC_SUM_UNIFORM)
    if raw and summed:
        error = ((raw.standard_error or 0.0) ** 2 + (summed.standard_error or 0.0) ** 2) ** 0.5
        if raw.value - summed.value > _AUC_LOST + ERRORS * error:
            numbers += [(Metric.AUC_SUM_UNIFORM.value, summed.value), (Metric.AUC_RAW_UNIFORM.value, raw.value)]
    if not numbers:
        return None
    return Advice(
        Rule.BEHAVIOUR, (), ITEMS,
        "The codes keep what items look like, but not which of them users take one after the other.",
        "Let the codes learn from behaviour; a further level keeps more of both.",
        "Give events to drq or drq_vae_cl (events.path); tokenizer.levels.",
        tuple(numbers),
    )  # fmt: skip
