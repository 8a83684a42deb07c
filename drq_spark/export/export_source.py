"""What is exported, and the choices that a format leaves open."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from drq_spark.config import Config
from drq_spark.errors import ConfigError
from drq_spark.export.export_formats import Suffix
from drq_spark.machine_memory import memory_limit
from drq_spark.progress import SILENT, Watcher
from drq_spark.run_state import RunState
from drq_spark.tokenizer.model import Tokenizer
from drq_spark.tokens import NO_SUFFIX, SidTokens

_MB, _GB = 1e6, 1e9


@dataclass(frozen=True)
class Choices:
    """What a format leaves open.

    Attributes:
        suffix: Which items have the number that tells items with one SID apart: none, all, or those whose number is
            not 0 (`nonzero`).
        numbered: Whether an item is known by its number, from 0, in the order of the ids.
        rows_of: Parquet files of which an item's number is that of its row; None where no file counts.
        dataset: What the catalogue is called.
        tokens: How codes are spelled.
    """

    suffix: Suffix = "none"
    numbered: bool = False
    rows_of: str | None = None
    dataset: str = "items"
    tokens: SidTokens = field(default_factory=SidTokens)


@dataclass(frozen=True)
class ExportSource:
    """The SIDs of a run as its readers find them, and what stands behind them.

    Attributes:
        rows: item_id, codes, sid, suffix, moved_from; ids are unique.
        codebook_sizes: K per level.
        state: The run.
        config: Its settings.
        tokenizer: Its tokenizer; None where another system made the SIDs.
        choices: What the format leaves open.
        watcher: Is told what an export needs.
    """

    rows: DataFrame
    codebook_sizes: tuple[int, ...]
    state: RunState
    config: Config
    tokenizer: Tokenizer | None
    choices: Choices
    watcher: Watcher = SILENT

    @property
    def spark(self) -> SparkSession:
        """The session of the rows."""
        return self.rows.sparkSession

    @property
    def levels(self) -> int:
        """L."""
        return len(self.codebook_sizes)

    @property
    def id_type(self) -> str:
        """Spark SQL type of the ids."""
        return self.rows.schema["item_id"].dataType.simpleString()

    @cached_property
    def items(self) -> int:
        """How many items there are."""
        return self.rows.count()

    @property
    def has_suffix(self) -> bool:
        """Whether any item is to have its suffix beside its codes."""
        return self.choices.suffix != "none"

    @property
    def chosen_suffix(self) -> Column:
        """The suffix (int) of an item, `NO_SUFFIX` where it is to have none."""
        none = F.lit(NO_SUFFIX)
        if self.choices.suffix == "nonzero":
            return F.when(F.col("suffix") > 0, F.col("suffix")).otherwise(none)
        return F.col("suffix") if self.has_suffix else none

    def require_tokenizer(self, form: str) -> Tokenizer:
        """The tokenizer, for a format that cannot do without.

        Raises:
            ConfigError: another system made the SIDs.
        """
        if self.tokenizer is None:
            raise ConfigError(
                f"{form} needs codebooks, and run {self.state.run_id} measured SIDs of another system: name a run of "
                "drq run or drq nightly with --run"
            )
        return self.tokenizer

    def require_memory(self, form: str, needed: int) -> None:
        """Tell how much memory of the driver an array of the format takes, before anything is read.

        Raises:
            ConfigError: the machine or container has less.
        """
        there = memory_limit()
        if needed > there:
            raise ConfigError(
                f"{form} of {self.items:,} items takes {needed / _GB:.1f} GB of the driver's memory, and there are "
                f"{there / _GB:.1f} GB: give it more, or export codes, which is distributed"
            )
        self.watcher.note(f"takes {needed / _MB:,.1f} MB of the driver's memory")
