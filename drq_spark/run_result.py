"""A finished run in a notebook: its tables, figures, charts and report."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cached_property
from html import escape
from io import BytesIO
from typing import TYPE_CHECKING, Any

from pyspark.sql import DataFrame

from drq_spark.config import Config
from drq_spark.errors import ConfigError
from drq_spark.files import read_bytes
from drq_spark.metrics import ITEMS, Metric, Metrics
from drq_spark.outcome import Outcome
from drq_spark.page.numbers import in_column
from drq_spark.progress import SILENT
from drq_spark.run_state import RunState
from drq_spark.runs import open_run
from drq_spark.schemas import CURRENT_SIDS, SID_CHANGES, SID_QUARANTINE, SIDS, Change, Status
from drq_spark.store import Store
from drq_spark.tokenizer import Tokenizer
from drq_spark.tokenizer.artifact import load_tokenizer
from drq_spark.upkeep.history import SHOWN, history

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
    def _figures(self) -> Metrics:
        return Metrics(self.outcome.figures)

    @cached_property
    def metrics(self) -> pd.DataFrame:
        """Every figure, a row each: metric, level, weighting, eta, ruler, value, standard_error (docs/figures.md)."""
        import pandas as pd

        columns = ["metric", "level", "weighting", "eta", "ruler", "value", "standard_error"]
        table: pd.DataFrame = pd.DataFrame(self.outcome.figures, columns=columns)
        return table

    def metric(
        self,
        name: str,
        level: int = 0,
        weighting: str = ITEMS,
        eta: float | None = None,
        ruler: str | None = None,
    ) -> float:
        """One figure: `metric("relative_mse")`, `metric("perplexity", level=1)`, `metric("sigma", level=1, eta=0.5)`.

        Raises:
            ConfigError: no figure has this name, or the run has none of this level, weighting, eta and ruler.
        """
        return self._figures.metric(name, level, weighting, eta, ruler)

    @property
    def sids(self) -> DataFrame:
        """What readers follow now: item_id, codes, key, suffix and more (docs/tables.md, `current_sids`).

        Of SIDs from elsewhere, which readers never follow, the map as it was measured (`sids`).
        """
        return self.store.read(SIDS, self.run_id) if self.config.external else self.store.read(CURRENT_SIDS)

    @property
    def quarantine(self) -> DataFrame:
        """Rows of the items that got no SID in this run, each with a reason (`sid_quarantine`)."""
        return self.store.read(SID_QUARANTINE, self.run_id)

    @property
    def changes(self) -> DataFrame:
        """What this run changed for readers: items that were added, moved or removed (`sid_changes`).

        Raises:
            ConfigError: no run was published yet.
        """
        if not self.store.exists(SID_CHANGES):
            raise ConfigError(f"run {self.run_id} changed nothing for readers: no run was published yet")
        return self.store.read(SID_CHANGES, self.run_id)

    def history(self, most: int = 30) -> pd.DataFrame:
        """The latest runs of the same place, newest first: how each ended, what it changed for readers, figures."""
        import pandas as pd

        rows = [
            {
                "run_id": past.state.run_id, "run_date": past.state.run_date, "channel": past.state.channel,
                "status": past.state.status,
                **{change.value: past.changes.get(change, 0) if past.changes else None for change in Change},
                **{metric.value: past.figures.get(metric) for metric in SHOWN},
            }
            for past in history(self.store, most)
        ]  # fmt: skip
        table: pd.DataFrame = pd.DataFrame(rows)
        return table

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer of the run, for numpy or `sid_udf`.

        Raises:
            ConfigError: its SIDs come from elsewhere.
        """
        if self.config.external:
            raise ConfigError(f"run {self.run_id} has no tokenizer: its SIDs come from elsewhere")
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
        rows = [("run", self.run_id), ("status", self.state.status)]
        rows += [(words, in_column(value, form)) for words, metric, form in _SHOWN
                 if (value := self._figures.value(metric)) is not None]  # fmt: skip
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
