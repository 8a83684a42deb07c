"""The perturbation test: items are perturbed and encoded anew, and the codes that flip are counted.

It takes one pass over the embeddings, and one over their second version where there is one; embeddings are not
shuffled, and of the items only counts come back.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import isfinite, sqrt

from pyspark.sql import DataFrame, Row, Window
from pyspark.sql import functions as F

from drq_spark.formulas.ratios import ratio, ratio_standard_error
from drq_spark.hashing import item_key, within_share
from drq_spark.measure.perturbation.flips_worker import COUNTS, noise_counter, version_counter
from drq_spark.measure.subject import Subject
from drq_spark.metrics import EXPOSURE, ITEMS, Metric, MetricRow, Ruler
from drq_spark.row_types import spark_schema
from drq_spark.ship import ship
from drq_spark.sid_columns import codes_of

_MOST_PAIRS = 200  # pairs of codes kept per level and perturbation
_KEYS = ("ruler", "eta", "level", "code", "other")
_SUMS = ("items", "flipped", "exposure", "flipped_exposure", "exposure_square", "flipped_exposure_square")


@dataclass(frozen=True)
class Perturbed:
    """Outcome of the perturbation test.

    Attributes:
        figures: flip_rate per level and sid_survival at level 0, per ruler, eta and weighting.
        confusion: level, ruler, eta, code, other, items: the most frequent flips, see `schemas.CODE_CONFUSION`; read
            from the staging folder.
    """

    figures: list[MetricRow]
    confusion: DataFrame


def perturbation(subject: Subject) -> Perturbed:
    """Flip rates of about `measure.perturbed_items` items, drawn by hash; of all where there are not more.

    Rulers: noise on the latents for every eta, noise on the embeddings for every rho, see
    `flips_worker.perturbed_codes`; and the second version of the items' embeddings where the subject has one (eta
    NULL). Items that a perturbation leaves without a usable embedding, or that have no second version, are not counted
    there.

    flip_rate is the share of the items whose code of a level differs, whatever earlier levels did; sid_survival is the
    share of the items none of whose codes differs.

    Standard errors are those of `ratios.ratio_standard_error`. With noise they are over other items like these and
    other noise; for these very items each is an upper bound, since every item keeps its own chance to flip. With a
    second version only the drawing of items is random: the error is multiplied by sqrt(1 - share drawn), and None where
    all were drawn.

    Raises:
        ValueError: the subject has no tokenizer or no embeddings.
    """
    tokenizer, items, settings = subject.tokenizer, subject.drawn_from, subject.config.measure
    if tokenizer is None or items is None:
        raise ValueError("the perturbation test needs the tokenizer and the embeddings")
    share = share_of_items(subject)
    chosen = perturbed_items(subject, share)
    shipped = ship(subject.spark, replace(tokenizer))  # a copy without what the driver has cached
    schema = spark_schema(COUNTS)
    noise = _embedded(items, chosen).mapInArrow(noise_counter(shipped, settings.etas, settings.rhos), schema)
    counts = noise
    if subject.after is not None:
        moved = _embedded(subject.after, chosen).mapInArrow(version_counter(shipped), schema)
        counts = noise.unionByName(moved)
    summed = counts.groupBy(*_KEYS).agg(*[F.sum(name).alias(name) for name in _SUMS])
    staged = subject.staging.keep(summed, "perturbed")
    totals = staged.where("code IS NULL").orderBy("ruler", "eta", "level").collect()
    return Perturbed([row for total in totals for row in _figures(total, share)], _confusion(staged))


def share_of_items(subject: Subject) -> float:
    """What share of the items is drawn for the test."""
    return min(1.0, subject.config.measure.perturbed_items / max(1, subject.sids.count()))


def perturbed_items(subject: Subject, share: float) -> DataFrame:
    """noise_key, codes and exposure (0 where it is not known) of the drawn items, by item_id.

    Codes are those that the embedding has by itself: an item that was moved from them has not flipped.
    """
    seed = subject.config.seed
    exposure = F.coalesce("exposure", F.lit(0.0)).alias("exposure")
    chosen = subject.sids.where(within_share("perturbation", seed, share))
    own = F.when(F.col("moved_from").isNull(), F.col("codes")).otherwise(codes_of("moved_from", subject.codebook_sizes))
    return chosen.select("item_id", item_key("noise", seed).alias("noise_key"), own.alias("codes"), exposure)


def _embedded(items: DataFrame, chosen: DataFrame) -> DataFrame:
    """The drawn items with their embeddings of a table; the drawn rows travel, the embeddings stay where they are."""
    joined = items.select("item_id", "embedding").join(F.broadcast(chosen), "item_id")
    return joined.select("noise_key", "codes", "exposure", "embedding")


def _figures(total: Row, share: float) -> Iterator[MetricRow]:
    """The rows of one perturbation and level: by items, and by exposure where there is some."""
    items, flipped = int(total["items"]), int(total.flipped)
    yield from _figure(total, ITEMS, (items, items, flipped, items, flipped), share)
    weights = (total.exposure, total.flipped_exposure, total.exposure_square, total.flipped_exposure_square)
    yield from _figure(total, EXPOSURE, (items, *weights), share)


def _figure(
    total: Row, weighting: str, sums: tuple[int, float, float, float, float], share: float
) -> Iterator[MetricRow]:
    """One row, none where nothing weighs; sums as `ratios.ratio_standard_error` takes them."""
    rate = ratio(sums[2], sums[1])
    if not isfinite(rate):
        return
    error = ratio_standard_error(*sums)
    if total.ruler == Ruler.AFTER.value:
        error = error * sqrt(1 - share) if share < 1 else float("nan")  # nothing is left to chance
    survival = total.level == 0
    yield MetricRow(
        metric=(Metric.SID_SURVIVAL if survival else Metric.FLIP_RATE).value,
        level=total.level,
        weighting=weighting,
        eta=total.eta,
        value=1 - rate if survival else rate,
        standard_error=error if isfinite(error) else None,
        ruler=total.ruler,
    )


def _confusion(staged: DataFrame) -> DataFrame:
    """The most frequent pairs per level and perturbation, ties by the codes."""
    order = Window.partitionBy("level", "ruler", "eta").orderBy(F.desc("items"), "code", "other")
    ranked = staged.where("code IS NOT NULL").withColumn("place", F.row_number().over(order))
    return ranked.where(F.col("place") <= _MOST_PAIRS).select("level", "ruler", "eta", "code", "other", "items")
