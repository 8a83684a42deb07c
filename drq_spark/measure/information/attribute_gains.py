"""What the attributes of items tell of their codes (Chain-of-Attribute): one attribute more at every step.

At level l the step j from attributes a_1..a_{j-1} to a_1..a_j lowers the entropy of the code by

    gain(j, l) = H(s^l | s^<l, a_1..a_{j-1}) - H(s^l | s^<l, a_1..a_j) = I(s^l; a_j | s^<l, a_1..a_{j-1}),

where each term is the difference of two entropies of cells: H(s^l | s^<l, a) = H(s^<=l, a) - H(s^<l, a). Counted
entropies make a gain of any attribute, even of one drawn by lot. What chance alone makes is the gain of a_j after it is
permuted among the items with the same (s^<l, a_1..a_{j-1}): each of them keeps its code and its known attributes, and
the new a_j has nothing to do with the code. Where that holds for a_j itself, gain and permuted gain have the same
distribution.

Groups above `_PART_ITEMS` items are cut by hash into random parts, of 5,000 to 10,000 items on average, and a_j is
permuted within each part, so that no task gets all items at level 1. The null stays exact. Where a_j does tell of the
code, a trace is left: of m items one keeps its own a_j on average, the others get that of any other item of the group.
Mutual information is convex in p(a | s), so at most a share 1/m = 0.0002 of the true gain is in the permuted one.

Source: UniRec, arXiv 2604.12234.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from drq_spark.formulas.entropy import ESTIMATORS, EXACT_BELOW, CellSizes
from drq_spark.hashing import item_key
from drq_spark.measure.subject import Subject
from drq_spark.schemas import ATTRIBUTE_GAINS
from drq_spark.tokenizer.keys import place_values

_PART_ITEMS = 10_000
_UNKNOWN = 0  # stands for the hash of an attribute that is NULL

Sizes = dict[tuple[int, int], CellSizes]
"""(attributes known j, levels l) -> sizes of the cells that (s^1..s^l, a_1..a_j) divide the items into."""


def attribute_gains(subject: Subject) -> DataFrame | None:
    """Columns of `schemas.ATTRIBUTE_GAINS` but run_id and tokenizer_id; None without attributes.

    Items without a row of attributes have unknown ones. Every number is the same for any partitioning of the tables,
    but for the rounding of sums. The work for L levels and J attributes is a join of ids with attributes, one group-by
    of (J + 1)(L + 1) rows an item into cells, one of J L rows an item to permute and one more into cells. Rows are keys
    and hashes, 24 to 44 bytes each. The driver gets at most 1,000 rows for each of the (J + 1)(L + 1) + J L entropies.
    """
    if subject.attributes is None:
        return None
    steps = len(subject.config.items.attributes)
    items = subject.staging.keep(_items(subject, subject.attributes, steps), "attributes")
    tally = subject.staging.keep(_tally(_cells(items, subject, steps), _PART_ITEMS), "attribute_cells")
    permuted = _tally(_permuted_cells(items, tally, subject, steps))
    return _table(subject, steps, _sizes(tally), _sizes(permuted))


def _items(subject: Subject, attributes: DataFrame, steps: int) -> DataFrame:
    """sid, key (random order), value (array: hash of a_1, .. a_J), known (array: hash of a_1..a_j for j = 0..J)."""
    names = [f"a_{step}" for step in range(1, steps + 1)]
    hashes = [F.when(F.col(name).isNotNull(), F.xxhash64(name)).alias(name) for name in names]
    keyed = subject.sids.select("item_id", "sid", item_key("permutation", subject.config.seed).alias("key"))
    values = [F.coalesce(name, F.lit(_UNKNOWN)) for name in names]
    known = [F.lit(0).cast("bigint")]
    for value in values:
        known.append(_with(known[-1], value))
    joined = keyed.join(attributes.select("item_id", *hashes), "item_id", "left")
    return joined.select("sid", "key", F.array(*values).alias("value"), F.array(*known).alias("known"))


def _with(known: Column, value: Column) -> Column:
    """Hash of the attributes known and one more."""
    return F.xxhash64(known, value)


def _prefixes(subject: Subject) -> list[Column]:
    """Key of the first l codes for l = 0..L, from the column sid."""
    divisors = place_values(subject.codebook_sizes).tolist()
    return [F.lit(0).cast("bigint"), *[F.expr(f"sid div {divisor}") for divisor in divisors]]


def _cells(items: DataFrame, subject: Subject, steps: int) -> DataFrame:
    """Occupied cells for every number of attributes and levels: step, level, prefix, known, items."""
    prefixes = _prefixes(subject)
    every = [
        F.struct(
            F.lit(step).alias("step"),
            F.lit(level).alias("level"),
            prefixes[level].alias("prefix"),
            F.get("known", F.lit(step)).alias("known"),
        )
        for step, level in product(range(steps + 1), range(subject.levels + 1))
    ]
    return _counted(items.select(F.explode(F.array(*every)).alias("cell")).select("cell.*"))


def _counted(cells: DataFrame) -> DataFrame:
    return cells.groupBy("step", "level", "prefix", "known").agg(F.count(F.lit(1)).alias("items"))


def _permuted_cells(items: DataFrame, tally: DataFrame, subject: Subject, steps: int) -> DataFrame:
    """`_cells` for one attribute and one level at least, with the last attribute permuted."""
    prefixes = _prefixes(subject)
    every = [
        F.struct(
            F.lit(step).alias("step"),
            F.lit(level).alias("level"),
            prefixes[level - 1].alias("shorter"),
            F.get("known", F.lit(step - 1)).alias("before"),
            prefixes[level].alias("prefix"),
            F.get("value", F.lit(step - 1)).alias("value"),
        )
        for step, level in product(range(1, steps + 1), range(1, subject.levels + 1))
    ]
    rows = items.select("key", F.explode(F.array(*every)).alias("at")).select("key", "at.*")
    group = ["step", "level", "shorter", "before"]
    parts = F.when(F.col("parts") > 1, F.pmod("key", "parts")).otherwise(F.lit(0))
    placed = rows.join(F.broadcast(_large_groups(tally)), group, "left").withColumn("part", parts)
    # prefixes in their own order beside attributes in random order: a uniform permutation
    beside = placed.groupBy(*group, "part").agg(
        F.sort_array(F.collect_list("prefix")).alias("prefix"),
        F.sort_array(F.collect_list(F.struct("key", "value"))).alias("drawn"),
    )
    pairs = beside.select("step", "level", "before", F.explode(F.arrays_zip("prefix", "drawn")).alias("pair"))
    known = _with(F.col("before"), F.col("pair.drawn.value")).alias("known")
    return _counted(pairs.select("step", "level", F.col("pair.prefix").alias("prefix"), known))


def _large_groups(tally: DataFrame) -> DataFrame:
    """Groups in which an attribute is permuted in more than one part: step, level, shorter, before, parts."""
    return tally.where("prefix IS NOT NULL").select(
        (F.col("step") + 1).alias("step"),
        (F.col("level") + 1).alias("level"),
        F.col("prefix").alias("shorter"),
        F.col("known").alias("before"),
        F.ceil(F.col("items") / _PART_ITEMS).alias("parts"),
    )


def _tally(cells: DataFrame, named_above: int | None = None) -> DataFrame:
    """Sums over the cells of a size: step, level, size (at most EXACT_BELOW), cells, items, odd, n_log_n.

    Cells with more than `named_above` items have a row and their prefix and known each; these are NULL elsewhere.
    """
    n = F.col("items")
    named = F.lit(False) if named_above is None else n > named_above
    size = F.least(n, F.lit(EXACT_BELOW)).alias("size")
    names = [F.when(named, F.col(name)).alias(name) for name in ("prefix", "known")]
    return cells.groupBy("step", "level", size, *names).agg(
        F.count(F.lit(1)).alias("cells"),
        F.sum(n).alias("items"),
        F.sum(n % 2).alias("odd"),
        F.sum(n * F.log(n.cast("double"))).alias("n_log_n"),
    )


def _sizes(tally: DataFrame) -> Sizes:
    sums = [F.sum(name).alias(name) for name in ("cells", "items", "odd", "n_log_n")]
    rows = tally.groupBy("step", "level", "size").agg(*sums).toArrow().sort_by("size")
    column = {name: rows[name].to_numpy() for name in rows.column_names}
    found = {}
    for step, level in {*zip(column["step"].tolist(), column["level"].tolist(), strict=True)}:
        here = (column["step"] == step) & (column["level"] == level)
        small, large = here & (column["size"] < EXACT_BELOW), here & (column["size"] == EXACT_BELOW)
        items, odd, n_log_n = (column[name][large].sum() for name in ("items", "odd", "n_log_n"))
        counts = column["size"][small].astype(np.int64), column["cells"][small]
        found[step, level] = CellSizes(*counts, int(items), int(odd), float(n_log_n))
    return found


def _table(subject: Subject, steps: int, sizes: Sizes, permuted: Sizes) -> DataFrame:
    rows = []
    for estimator, entropy in ESTIMATORS.items():
        h = {cells: entropy(counted) for cells, counted in sizes.items()}
        by_chance = {cells: entropy(counted) for cells, counted in permuted.items()}
        for step, level in product(range(1, steps + 1), range(1, subject.levels + 1)):
            before = h[step - 1, level] - h[step - 1, level - 1]
            after, drawn = (longer - h[step, level - 1] for longer in (h[step, level], by_chance[step, level]))
            name = subject.config.items.attributes[step - 1]
            rows.append((step, name, level, estimator, after, before - after, before - drawn))
    own = [column for column in ATTRIBUTE_GAINS.columns if column.name not in ("run_id", "tokenizer_id")]
    return subject.spark.createDataFrame(rows, ", ".join(f"{column.name} {column.type}" for column in own))
