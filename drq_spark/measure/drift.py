"""What a night's items say about a tokenizer that stays: whether they are still what it was trained on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from drq_spark.formulas.ratios import ratio
from drq_spark.measure.item_sample import ItemSample
from drq_spark.metrics import ITEMS, Metric, MetricRow
from drq_spark.run_state import training_run
from drq_spark.runs import Run
from drq_spark.schemas import CODE_USAGE, NIGHT_SIDS, Change
from drq_spark.tokenizer import Tokenizer
from drq_spark.tokenizer.alternatives import residual_squares

_FEW = 30  # items that a standard error is given of, at least
_NEW = (Change.ADDED.value, Change.MOVED.value, Change.REFRESHED.value)


def new_sids(run: Run, sids: DataFrame) -> DataFrame:
    """Those of the SIDs whose embedding a night has seen for the first time."""
    new = run.rows(NIGHT_SIDS, "assign").where(F.col("change").isin(*_NEW)).select("item_id")
    return sids.join(new, "item_id", "left_semi")


def drift(new: ItemSample, everything: ItemSample, tokenizer: Tokenizer) -> list[MetricRow]:
    """residual_share_new: what is left of new items, in the variance of all.

    It is the mean of ||W^L r^{L+1}||^2 over new items / the mean of ||W^L (z - mean)||^2 over all. Its standard
    error is that of the mean above; the mean below has many more items. Of few new items there is none: their spread is
    as much a matter of chance as their mean. What new items of the same kind have is residual_share_unseen.
    """
    if new.x is None or everything.x is None or not len(new.x):
        return []
    z, all_z = tokenizer.encode_prepared(new.x)[0], tokenizer.encode_prepared(everything.x)[0]
    left = residual_squares(tokenizer, z, new.codes)[:, -1]
    below = float(np.square(tokenizer.weighed(all_z - all_z.mean(axis=0, dtype=np.float64))).sum(axis=1).mean())
    value = ratio(float(left.mean()), below)
    error = None if len(left) < _FEW or not below else float(left.std(ddof=1) / np.sqrt(len(left)) / below)
    return [MetricRow(Metric.RESIDUAL_SHARE_NEW.value, 0, ITEMS, None, value, error)]


def usage_at_training(run: Run) -> Sequence[NDArray[np.int64]] | None:
    """How the codes of each level were used by the run that trained the tokenizer; None where it is not known."""
    trained = training_run(run.store, str(run.state.tokenizer_id))
    if trained is None or not run.store.exists(CODE_USAGE):
        return None
    rows = run.store.read(CODE_USAGE, trained.run_id).select("level", "code", "items").toArrow()
    level, code, items = (np.asarray(rows[name]) for name in ("level", "code", "items"))
    sizes = run.codebook_sizes
    if len(level) != sum(sizes):
        return None
    usage = [np.zeros(size, np.int64) for size in sizes]
    for index, counts in enumerate(usage):
        here = level == index + 1
        counts[code[here]] = items[here]
    return usage
