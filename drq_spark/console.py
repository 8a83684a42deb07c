"""What the command line shows: steps as they go, the summary of a run, errors as one line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import monotonic

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from drq_spark.compare.comparison_page import rows
from drq_spark.compare.standing import Comparison
from drq_spark.config import Config
from drq_spark.gate import GateResult
from drq_spark.metrics import Metric, MetricRow
from drq_spark.runs import Outcome
from drq_spark.schemas import TABLES, Status
from drq_spark.store import Store


class ConsoleWatcher:
    """A `Watcher` that draws a spinner for the current step, a bar for training, and a line for each finished step."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._notes: list[str] = []
        self._step = ""
        self._progress: Progress | None = None
        self._bar: TaskID | None = None

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Spinner while it lasts; one line with its time and notes when it is done."""
        start, self._notes, self._step = monotonic(), [], name
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=24), TimeElapsedColumn())
        drawn = self._console.is_terminal  # a log gets the finished lines only
        with Progress(*columns, console=self._console, transient=True, disable=not drawn) as self._progress:
            self._bar = self._progress.add_task(f"[bold]{name}[/]", total=None)
            yield
        self._progress = None
        told = "; ".join(self._notes)
        line = f"[green]✓[/] {name:<8} {monotonic() - start:6.1f} s  {told}"
        self._console.print(line, highlight=False, soft_wrap=True)

    def heading(self, text: str) -> None:
        """A line of its own."""
        self._console.print(f"[bold]{text}[/]", highlight=False)

    def note(self, text: str) -> None:
        """Kept for the line that ends the step."""
        self._notes.append(text)

    def progress(self, stage: str, done: int, total: int, **figures: float) -> None:
        """Moves the bar and shows the latest figures."""
        if self._progress is not None and self._bar is not None:
            shown = "  ".join(f"{name} {value:.3g}" for name, value in figures.items())
            self._progress.update(
                self._bar, description=f"[bold]{self._step}[/] {stage} [dim]{shown}[/]", completed=done, total=total
            )

    def loading(self, text: str) -> None:
        """A line about something that takes its time before the first step."""
        self._console.print(f"[dim]{text}[/]", highlight=False)


def show_outcome(console: Console, outcome: Outcome, config: Config, store: Store) -> None:
    """Summary of a run: figures a level, figures of the whole catalogue, the gate, where things are."""
    if outcome.repeated:
        console.print(
            f"Nothing has changed since run {outcome.state.run_id}: same settings, same rows. Nothing was written."
        )
    console.print(_levels_table(outcome, config.measure.headline_eta))
    console.print(_catalogue_table(outcome))
    for result in outcome.gate:
        console.print(_gate_line(result), highlight=False)
    published = outcome.state.status == Status.PUBLISHED.value
    if published and outcome.followed != outcome.state.run_id:
        back = f"drq publish --out {store.out} --run {outcome.state.run_id}"
        console.print(f"Readers follow run {outcome.followed} since then; {back} moves them back.", soft_wrap=True)
    console.print(f"\nRun [bold]{outcome.state.run_id}[/]: {_verdict(outcome)}", soft_wrap=True)
    console.print(f"  report     {store.report}", highlight=False, soft_wrap=True)
    console.print(
        f"  tables     {store.location(TABLES[0]).removesuffix(TABLES[0].name)}", highlight=False, soft_wrap=True
    )
    if not config.from_elsewhere:
        console.print(f"  tokenizer  {store.tokenizers}/{outcome.state.tokenizer_id}", highlight=False, soft_wrap=True)


def show_comparison(console: Console, comparison: Comparison, page: str) -> None:
    """The table of a comparison, winners starred, and where its page is."""
    table = Table(title="Tokenizers compared", title_justify="left", box=SIMPLE_HEAD)
    table.caption, table.caption_justify = "★ ahead of all others by more than the noise; ◆ on the Pareto front", "left"
    table.add_column("", no_wrap=True)
    for name in comparison.names:
        table.add_column(f"{'◆ ' if name in comparison.front else ''}{name}", justify="right", no_wrap=True)
    for title, cells in rows(comparison):
        table.add_row(title, *(f"★ {text}" if wins else text for text, wins in cells))
    console.print(table)
    if len(comparison.seeds) < 2:
        console.print("One seed: the noise is not known, so no winners are marked (--seeds 3 tells).")
    console.print(f"  page  {page}", highlight=False, soft_wrap=True)


def show_error(console: Console, message: str) -> None:
    """One line on the error console."""
    console.print(f"[red]error:[/] {_plain(message)}", highlight=False, soft_wrap=True)


def _verdict(outcome: Outcome) -> str:
    if outcome.state.status == Status.PUBLISHED.value:
        return "[green]published[/]"
    if outcome.state.status == Status.MEASURED.value:
        return "measured; SIDs from elsewhere are not judged, readers stay where they are"
    return "[red]not published: the gate failed, readers stay where they are[/]"


def _levels_table(outcome: Outcome, eta: float) -> Table:
    table = Table(
        title=f"Capacity per level at eta {eta:g}: K_eff = K * D * G",
        caption="D: left after uneven use. G: left after codewords too close. left: spread not yet coded.",
        title_justify="left",
        caption_justify="left",
        box=SIMPLE_HEAD,
    )
    for heading in ("level", "codes", "used", "perplexity", "K_eff", "of K", "D", "G", "left"):
        table.add_column(heading, justify="right")
    for level, size in enumerate(outcome.codebook_sizes, start=1):
        table.add_row(str(level), f"{size:,}", *_level_cells(outcome.figures, level, size, eta))
    return table


def _level_cells(figures: Sequence[MetricRow], level: int, size: int, eta: float) -> tuple[str, ...]:
    capacity = _value(figures, Metric.EFFECTIVE_CAPACITY, level, eta)
    return (
        _percent(_value(figures, Metric.UTILIZATION, level)),
        _number(_value(figures, Metric.PERPLEXITY, level), ".1f"),
        _number(capacity, ".1f"),
        _percent(None if capacity is None else capacity / size),
        _number(_value(figures, Metric.DISTRIBUTION, level), ".3f"),
        _number(_value(figures, Metric.GEOMETRY, level, eta), ".3f"),
        _percent(_value(figures, Metric.RESIDUAL_SHARE, level)),
    )


def _catalogue_table(outcome: Outcome) -> Table:
    table = Table(title="Catalogue", title_justify="left", show_header=False, box=SIMPLE_HEAD)
    state, figures = outcome.state, outcome.figures
    table.add_column("figure")
    table.add_column("value", justify="right")
    table.add_row("rows in", f"{state.rows_in:,}")
    table.add_row("rows with a SID", f"{state.rows_out or 0:,}")
    table.add_row("rows in quarantine", f"{state.rows_quarantined or 0:,}")
    table.add_row("different SIDs", _number(_value(figures, Metric.UNIQUE_SIDS), ",.0f"))
    table.add_row("duplicate rate (1 - SIDs / items)", _percent(_value(figures, Metric.DUPLICATE_RATE)))
    table.add_row("  of that by equal embeddings", _percent(_value(figures, Metric.EXACT_DUPLICATE_RATE)))
    table.add_row("items that share their SID", _percent(_value(figures, Metric.SHARED_RATE)))
    table.add_row("largest bucket", _number(_value(figures, Metric.LARGEST_BUCKET), ",.0f"))
    table.add_row("relative MSE of the reconstruction", _number(_value(figures, Metric.RELATIVE_MSE), ".4f"))
    table.add_row("mean cosine of the reconstruction", _number(_value(figures, Metric.MEAN_COSINE), ".4f"))
    for title, metric, show in _MATCHING:
        value = _value(figures, metric)
        if value is not None:  # neighbours are not measured of every catalogue, behaviour only where there are events
            table.add_row(title, show(value))
    churn = _value(figures, Metric.CHURN)
    if churn is not None:
        table.add_row("SIDs changed since the published run", _percent(churn))
    return table


def _gate_line(result: GateResult) -> str:
    found = "no such figure" if result.value is None else f"{result.value:.4g}"
    where = f" at level {result.level}" if result.level and "level" not in result.rule else ""
    mark = "[green]✓[/]" if result.passed else "[red]✗[/]"
    return f"{mark} gate: {result.rule}: {found}{where}"


def _value(figures: Sequence[MetricRow], metric: Metric, level: int = 0, eta: float | None = None) -> float | None:
    key = (metric.value, level, "items", eta)
    return next((row.value for row in figures if (row.metric, row.level, row.weighting, row.eta) == key), None)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


_MATCHING = (
    ("neighbours kept, of the nearest 20", Metric.NEIGHBOUR_RECALL_20, _percent),
    ("behaviour retention among 200 (embedding: 100%)", Metric.RETENTION_200, _percent),
    ("AUC of behaviour pairs, SIDs", Metric.AUC_SUM_POPULARITY, "{:.3f}".format),
    ("AUC of behaviour pairs, embeddings", Metric.AUC_RAW_POPULARITY, "{:.3f}".format),
)


def _number(value: float | None, spec: str) -> str:
    return "-" if value is None else format(value, spec)


def _plain(text: str) -> str:
    """Text with rich's markup characters taken literally."""
    return text.replace("[", r"\[")
