"""Draw the sample on the cluster: exact size, valid rows only, each embedding read once."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from drq_spark.config import Config
from drq_spark.errors import ConsistencyError, InputRefused
from drq_spark.hashing import item_key, last_bucket
from drq_spark.inputs.items import Catalogue
from drq_spark.sample.candidate_rows import CandidateRows, look_at
from drq_spark.schemas import Reason
from drq_spark.staging import Staging

_SPARE = 1.1  # candidates beyond the sample size, so that a few bad rows need no second pass


def draw_sample(catalogue: Catalogue, config: Config, staging: Staging) -> DataFrame:
    """The `sample.size` valid items with the lowest sample keys.

    Columns item_id, sample_key, split_key, exposure (of the items table), embedding (array<float>). Candidates are the
    ids below a threshold that the key histogram gives; only their embeddings reach Python. They are kept in
    `staging`; the result reads from it.

    Raises:
        InputRefused: too many bad rows, or fewer valid rows than codes.
        ConsistencyError: the table does not hold what it held when its profile was made.
    """
    return sample_among(first_candidates(catalogue, config, staging), catalogue, config, staging)


def first_candidates(
    catalogue: Catalogue, config: Config, staging: Staging, items: DataFrame | None = None
) -> CandidateRows:
    """What a sample is drawn from where few rows are bad, and further `items` (item_id, each once) by the way."""
    return look_at(catalogue, config, staging, "candidates", limit=_limit(catalogue, config, 1.0), items=items)


def sample_among(first: CandidateRows, catalogue: Catalogue, config: Config, staging: Staging) -> DataFrame:
    """`draw_sample` from its first candidates; where too few of them are usable, more are read.

    Raises:
        InputRefused, ConsistencyError: as `draw_sample`.
    """
    wanted, seen = config.sample.size, first
    while True:
        candidates = seen.rows.where("by_key").drop("by_key")
        counts = {row.reason: row["count"] for row in candidates.groupBy("reason").count().collect()}
        valid, bad = counts.pop(None, 0), sum(counts.values())
        if valid >= wanted or seen.whole:
            break
        limit = _limit(catalogue, config, max(valid, 1) / max(valid + bad, 1))
        _check_more(limit, seen.limit)
        seen = look_at(catalogue, config, staging, "more_candidates", limit=limit)
    _check_enough(valid, counts, catalogue, config)
    drawn = _lowest(candidates.where("reason IS NULL").drop("reason"), valid, wanted)
    return drawn.withColumn("split_key", item_key("split", config.seed))


def _limit(catalogue: Catalogue, config: Config, share: float) -> int:
    """Bucket of sample keys up to which the sample lies, where this share of the items is usable."""
    return last_bucket(catalogue.profile.key_histogram, ceil(config.sample.size / share * _SPARE))


def _check_more(limit: int, before: int | None) -> None:
    """Check that another round looks further.

    Bad rows alone make another round necessary. Of so many candidates as the histogram promised, the usable ones were
    fewer than wanted: their share is lower than it was taken to be, and the next round has to look further. Where it
    does not, there were fewer candidates.
    """
    if before is not None and limit <= before:
        raise ConsistencyError(
            "items table: fewer rows than when it was first read; did the input change while the run went on?"
        )


def _check_enough(valid: int, bad: dict[str, int], catalogue: Catalogue, config: Config) -> None:
    reasons = _counted(bad)
    total = valid + sum(bad.values())
    if sum(bad.values()) > config.items.max_bad_share * total:
        raise InputRefused(
            f"items table: {sum(bad.values()):,} of {total:,} rows looked at have no usable embedding ({reasons}), "
            f"more than items.max_bad_share = {config.items.max_bad_share:g}; {_doubt(bad, config)}"
        )
    drawn = min(valid, config.sample.size)
    fitted = drawn - int(drawn * config.sample.holdout)
    largest = max(config.tokenizer.codebook_sizes)
    if fitted < largest:
        whole = _counted({**bad, **catalogue.profile.set_aside}) or "none bad"
        raise InputRefused(
            f"items table: a sample of {drawn:,} valid rows leaves {fitted:,} to fit {largest:,} codes a level "
            f"({whole}): lower tokenizer.codes or sample.holdout, raise sample.size, or bring more items"
        )


def _doubt(bad: Mapping[str, int], config: Config) -> str:
    """What may be wrong where so many rows are bad."""
    if config.items.dim is not None and max(bad, key=lambda reason: bad[reason]) == Reason.WRONG_DIMENSION.value:
        return f"is items.dim = {config.items.dim} their length? The most frequent one is taken without it"
    return f"is {config.items.embedding!r} the right column?"


def _counted(bad: Mapping[str, int]) -> str:
    """Rows by reason in words."""
    return ", ".join(f"{count:,} {reason}" for reason, count in sorted(bad.items()))


def _lowest(valid_rows: DataFrame, valid: int, wanted: int) -> DataFrame:
    if valid <= wanted:
        return valid_rows
    thin = valid_rows.select("sample_key", "item_id").orderBy("sample_key", "item_id").limit(wanted)
    last = thin.agg(F.max(F.struct("sample_key", "item_id")).alias("last"))
    below = F.struct("sample_key", "item_id") <= F.col("last")
    return valid_rows.crossJoin(F.broadcast(last)).where(below).drop("last")
