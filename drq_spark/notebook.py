"""A run from a notebook: keywords in, and a result that shows its figures, its charts and its report."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, timezone
from functools import cached_property
from html import escape
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyspark.sql import DataFrame, SparkSession
from rich.console import Console

from drq_spark.config import Config, load_config
from drq_spark.console import ConsoleWatcher
from drq_spark.errors import ConfigError
from drq_spark.files import absolute, read_bytes
from drq_spark.metrics import ITEMS, Metric, MetricRow, Metrics
from drq_spark.outcome import Outcome
from drq_spark.page.numbers import in_column
from drq_spark.pipeline import run_all as run_by_config
from drq_spark.progress import SILENT, Watcher
from drq_spark.run_state import RunState
from drq_spark.runs import open_run
from drq_spark.schemas import CURRENT_SIDS, Status
from drq_spark.store import Store, named_store
from drq_spark.tokenizer import Tokenizer
from drq_spark.tokenizer.artifact import load_tokenizer

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from drq_spark.report.data import ReportData

_SHOWN = (
    ("items", Metric.ITEMS, ",.0f"),
    ("different SIDs", Metric.UNIQUE_SIDS, ",.0f"),
    ("relative MSE", Metric.RELATIVE_MSE, ".3f"),
    ("neighbours kept, of the nearest 20", Metric.NEIGHBOUR_RECALL_20, ".1%"),
    ("AUC of behaviour pairs, SIDs", Metric.AUC_SUM_POPULARITY, ".3f"),
    ("AUC of behaviour pairs, embeddings", Metric.AUC_RAW_POPULARITY, ".3f"),
)
_DOTS_PER_INCH = 144  # charts are laid out for 72, and screens have twice as many


def run_all(
    spark: SparkSession,
    *,
    items: str | None = None,
    out: str | None = None,
    events: str | None = None,
    item_id: str | None = None,
    embedding: str | None = None,
    exposure: str | None = None,
    name: str | None = None,
    attributes: Sequence[str] | None = None,
    event_user: str | None = None,
    event_item: str | None = None,
    event_order: str | None = None,
    tokenizer: str | None = None,
    levels: int | None = None,
    codes: int | Sequence[int] | None = None,
    seed: int | None = None,
    settings: Mapping[str, Any] | None = None,
    files: Sequence[str | Path] = (),
    run_date: date | None = None,
    night: bool = False,
    retrain: bool = False,
    watcher: Watcher | None = None,
) -> RunResult:
    """Do all steps of a run, from the items to SIDs that readers follow, as `drq run` does.

    >>> outcome = run_all(spark, items="main.shop.items", events="main.shop.events", out=folder)  # doctest: +SKIP
    >>> outcome.metrics, outcome.report(), outcome.plot_capacity(), outcome.sids  # doctest: +SKIP

    What is not given stays as `files` or the defaults of `conf/base.yaml` say. Where the gate fails nothing is raised:
    the result says so, and readers stay where they are.

    Args:
        spark: The session of the notebook.
        items: Path, glob or table name of the items.
        out: Folder for tables, tokenizers and the report.
        events: Path, glob or table name of what users did.
        item_id, embedding, exposure, name, attributes: Columns of the items, see `items.*`.
        event_user, event_item, event_order: Columns of the events, see `events.*`.
        tokenizer: Its kind.
        levels: L, codes in a SID.
        codes: K, codes a level; a list for different sizes.
        seed: Of the sample and of training.
        settings: Any others, "section.key" -> value; they win over all that is named here.
        files: YAML files as `--config` takes them, later ones win.
        run_date: Logical date; today without it.
        night: As `drq nightly`: only what is new, changed or gone.
        retrain: As `drq nightly --retrain`.
        watcher: Is told of every step; without it lines are printed, `progress.SILENT` prints none.

    Raises:
        ConfigError, InputRefused: before anything is written.
        Overtaken, Busy: as `pipeline.run_all`.
    """
    for what, table in (("items", items), ("events", events)):
        if table is not None and not isinstance(table, str):
            raise ConfigError(
                f"{what} is a {type(table).__name__}; a run reads a path or a table, so that it can be repeated: write "
                "the rows first, or use drq_spark.ml"
            )
    named = {
        "items.path": items, "items.id": item_id, "items.embedding": embedding, "items.exposure": exposure,
        "items.name": name, "items.attributes": None if attributes is None else list(attributes),
        "events.path": events, "events.user": event_user, "events.item": event_item, "events.order": event_order,
        "tokenizer.name": tokenizer, "tokenizer.levels": levels, "seed": seed,
        "tokenizer.codes": codes if codes is None or isinstance(codes, int) else list(codes),
        "store.out": None if out is None else absolute(out),
    }  # fmt: skip
    given = {key: value for key, value in named.items() if value is not None}
    config = load_config([Path(file) for file in files], {**given, **(settings or {})})
    today, now = run_date or date.today(), datetime.now(timezone.utc)
    told = ConsoleWatcher(Console()) if watcher is None else watcher
    done = run_by_config(spark, config, today, now, told, night=night, retrain=retrain)
    return RunResult(done, named_store(spark, config), config)


@dataclass(frozen=True, repr=False)
class RunResult:
    """A finished run.

    Attributes:
        outcome: How it ended: its row of the runs table, figures, gate.
        store: Where its tables are.
        config: The settings that it was asked for with.
    """

    outcome: Outcome
    store: Store
    config: Config

    @property
    def state(self) -> RunState:
        """Its row of the runs table."""
        return self.outcome.state

    @property
    def run_id(self) -> str:
        """What tables call the run."""
        return self.state.run_id

    @property
    def published(self) -> bool:
        """Whether the gate was passed and readers follow the run."""
        return self.state.status == Status.PUBLISHED.value

    @cached_property
    def metrics(self) -> pd.DataFrame:
        """Every figure, a row each: metric, level, weighting, eta, ruler, value, standard_error (docs/figures.md)."""
        import pandas as pd

        columns = ["metric", "level", "weighting", "eta", "ruler", "value", "standard_error"]
        table: pd.DataFrame = pd.DataFrame([asdict(row) for row in self.outcome.figures], columns=columns)
        return table

    @property
    def sids(self) -> DataFrame:
        """What readers follow now: item_id, codes, key, suffix and more (docs/tables.md, `current_sids`)."""
        return self.store.read(CURRENT_SIDS)

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer of the run, for numpy or `sid_udf`."""
        return load_tokenizer(f"{self.store.tokenizers}/{self.state.tokenizer_id}")

    def report(self, height: int = 800) -> Page:
        """The report, which a notebook shows in place; `height` in px."""
        return Page(read_bytes(self.store.report).decode(), height)

    def plot_capacity(self, weighting: str = ITEMS) -> Axes:
        """What uneven use and closeness leave of the codes of each level.

        Raises:
            ConfigError: the run has no such figures.
        """
        from drq_spark.report.sections.effective_capacity import capacity_axes

        return self._shown(capacity_axes(self._data, weighting), "capacity", weighting)

    def plot_perturbation(self, weighting: str = ITEMS) -> Axes:
        """The capacity of each level as embeddings move.

        Raises:
            ConfigError: the run has no such figures.
        """
        from drq_spark.report.sections.under_perturbation import perturbation_axes

        drawn = perturbation_axes(self._data, weighting)
        if drawn is not None:
            drawn.set_ylabel("share of the codes that count")
        return self._shown(drawn, "capacity under noise", weighting)

    def plot_usage(self, level: int = 1) -> Axes:
        """The codes of a level from the most to the least used, as multiples of even use.

        Raises:
            ConfigError: there is no such level.
        """
        from drq_spark.report.sections.use_of_codes import lowest_ratio, usage_axes

        if not 1 <= level <= len(self._data.usage):
            raise ConfigError(f"level is {level}; the run has levels 1 to {len(self._data.usage)}")
        use = self._data.usage[level - 1]
        counts = [part for part in (use.items, use.exposure) if part is not None]
        drawn = usage_axes(use.items, use.exposure, lowest_ratio(counts))
        drawn.set_ylabel("use of the code")
        if len(drawn.get_legend_handles_labels()[0]) > 1:
            drawn.legend(loc="lower left", frameon=False)
        return self._shown(drawn, "usage", ITEMS)

    @cached_property
    def _data(self) -> ReportData:
        from drq_spark.report.step import report_data

        return report_data(open_run(self.store, self.run_id, SILENT))

    def _shown(self, drawn: Axes | None, what: str, weighting: str) -> Axes:
        """The chart in colours of its own; shown at once where a notebook runs."""
        from drq_spark.page.plain_colours import in_plain_colours

        if drawn is None:
            raise ConfigError(f"run {self.run_id} has no figures of {what} by {weighting}")
        drawn = in_plain_colours(drawn, len(self.outcome.codebook_sizes))
        if _in_notebook():
            from IPython import display

            picture = BytesIO()
            whole = drawn.get_figure(root=True)
            assert whole is not None  # it was drawn on one
            # tight: the margins are those of the page, which has no names beside the axes
            whole.savefig(picture, dpi=_DOTS_PER_INCH, bbox_inches="tight")
            show: Any = display  # it has no types
            show.display(show.Image(picture.getvalue(), retina=True))
        return drawn

    def __repr__(self) -> str:
        return f"<RunResult {self.run_id}: {self.state.status}, {self.state.rows_out or 0:,} items>"

    def _repr_html_(self) -> str:
        figures: Sequence[MetricRow] = self.outcome.figures
        found = Metrics(figures)
        rows = [("run", self.run_id), ("status", self.state.status)]
        rows += [(words, in_column(value, form)) for words, metric, form in _SHOWN
                 if (value := found.value(metric)) is not None]  # fmt: skip
        rows += [("gate failed", f"{result.rule} (is {result.found})") for result in self.outcome.gate
                 if not result.passed]  # fmt: skip
        rows += [("note", note) for note in self.state.notes]
        cells = "".join(f"<tr><th>{escape(words)}</th><td>{escape(text)}</td></tr>" for words, text in rows)
        return f"<table>{cells}</table>"


@dataclass(frozen=True, repr=False)
class Page:
    """A page of HTML that a notebook shows in place.

    Attributes:
        html: The page itself.
        height: px.
    """

    html: str
    height: int

    def _repr_html_(self) -> str:
        frame = f'width="100%" height="{self.height}" style="border: 0"'
        return f'<iframe srcdoc="{escape(self.html)}" {frame}></iframe>'


def _in_notebook() -> bool:
    """Whether a kernel runs that can show pictures."""
    return "ipykernel" in sys.modules
