"""Passes over the whole catalogue that better a tokenizer which was trained on a sample."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from drq_spark.arrays import I64
from drq_spark.config import Config
from drq_spark.errors import ConfigError
from drq_spark.hashing import item_key
from drq_spark.inputs.items import Catalogue
from drq_spark.refine.corpus_sums import SUMS, CorpusSums, Question, Steps, adder, merged
from drq_spark.refine.solution import solved_books, solved_tables
from drq_spark.row_types import spark_schema
from drq_spark.runs import Run
from drq_spark.ship import ship
from drq_spark.tokenizer import Tokenizer
from drq_spark.train.contract import TrainingData
from drq_spark.train.evaluation import reconstruction_error
from drq_spark.train.residual import repriced


@dataclass(frozen=True)
class Judge:
    """Unseen items, by which a pass is taken or left.

    Attributes:
        data: The split sample; its held-out rows judge.
        last_key: The largest split key of these; items up to it are in no sum.
    """

    data: TrainingData
    last_key: int | None

    @classmethod
    def of(cls, split_key: I64 | None, data: TrainingData) -> Judge:
        """The held-out items of a sample, which are those with the lowest of its split keys, int64 [n]."""
        if split_key is None or not data.held_out_rows:
            return cls(data, None)
        return cls(data, int(np.sort(split_key)[data.held_out_rows - 1]))

    def error(self, tokenizer: Tokenizer) -> float:
        """Relative MSE of the unseen items, of the sample where none were held out."""
        mean = self.data.fit.mean(axis=0, dtype=np.float64)
        judging = self.data.held_out if self.data.held_out_rows else self.data.fit
        return reconstruction_error(tokenizer, judging, mean)


def refined(run: Run, catalogue: Catalogue, tokenizer: Tokenizer, judge: Judge) -> Tokenizer:
    """The tokenizer after `train.refine` passes; fewer where one of them betters the unseen error no more.

    The first pass solves the tables for the books that were fitted, every later one for books that were solved for the
    codes of the pass before. Prices are learned for their books, and under others they leave most codes unused: where
    there are some, they take a step on the sample after the books have moved.

    Raises:
        ConfigError: the tokenizer has no tables: its encoder was trained together with its books.
    """
    if tokenizer.tables is None:
        raise ConfigError(
            f"train.refine solves books on given latents, and {tokenizer.kind} trains its encoder with its books: set "
            "train.refine to 0, or take drq, rq_kmeans, drq_vae or drq_vae_cl"
        )
    steps = Steps.of(_largest(tokenizer, judge.data), tokenizer.latent_dim, catalogue.profile.ids)
    errors, passes, asked = [judge.error(tokenizer)], run.config.train.refine, tokenizer
    sums: CorpusSums | None = None
    for done in range(1, passes + 1):
        if sums is not None:
            asked = _with_other_books(tokenizer, sums, judge.data, run.config, done - 1)
        sums = corpus_sums(_items(run, catalogue, judge.last_key), asked, steps)
        if not sums.items:
            break
        settled = solved_tables(asked, sums)
        error = judge.error(settled)
        run.watcher.progress("whole catalogue", done, passes, unseen_relative_mse=error)
        if error >= errors[-1]:
            break
        errors.append(error)
        tokenizer = settled
    told = {"passes": len(errors) - 1, "held_out_relative_mse": errors}
    run.watcher.note(f"refined on the whole catalogue: unseen relative MSE {errors[0]:.4f} -> {errors[-1]:.4f}")
    return replace(tokenizer, training={**tokenizer.training, "refined": told})


def _with_other_books(
    tokenizer: Tokenizer, sums: CorpusSums, data: TrainingData, config: Config, turn: int
) -> Tokenizer:
    """The tokenizer with books for the codes that were summed up, and prices for these books."""
    solved = solved_books(tokenizer, sums)
    return solved if solved.prices is None else repriced(solved, data, config, sums.items, turn)


def corpus_sums(items: DataFrame, tokenizer: Tokenizer, steps: Steps) -> CorpusSums:
    """Sums over items (a column embedding); the driver takes some L K rows of d numbers and the pairs of codes."""
    bare = replace(tokenizer, training={})
    shipped, schema = ship(items.sparkSession, Question(bare, steps)), spark_schema(SUMS)
    parts = items.select("embedding").mapInArrow(adder(shipped), schema)
    rows = parts.repartition("part", "key").mapInArrow(merged, schema).toArrow()
    return CorpusSums.of(rows.cast(SUMS), tokenizer.codebook_sizes, tokenizer.latent_dim, steps)


def _items(run: Run, catalogue: Catalogue, last_key: int | None) -> DataFrame:
    """The items that training may see."""
    items = catalogue.df
    return items if last_key is None else items.where(item_key("split", run.config.seed) > F.lit(last_key))


def _largest(tokenizer: Tokenizer, data: TrainingData) -> float:
    """The largest number of the sample's latents."""
    rows = range(0, len(data.prepared), 4096)
    return max(float(np.abs(tokenizer.latent(data.prepared[start : start + 4096])).max()) for start in rows)
