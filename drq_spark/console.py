"""What the command line shows: steps as they go, the summary of a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import monotonic

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from drq_spark.compare.comparison_page import pick, rows
from drq_spark.compare.standing import Comparison
from drq_spark.config import Config
from drq_spark.gate import GateResult
from drq_spark.metrics import Metric, Metrics
from drq_spark.outcome import Outcome
from drq_spark.page.numbers import in_column
from drq_spark.probe.downstream_figures import SEGMENTS
from drq_spark.probe.probe_page import bases, best_predictors, downstream
from drq_spark.probe.what_predicts import Point, predictions
from drq_spark.schemas import LIVE, TABLES, Status
from drq_spark.store import Store

_SHARE, _COUNT = ".1%", ",.0f"
_ALWAYS = (
    ("different SIDs", Metric.UNIQUE_SIDS, _COUNT),
    ("duplicate rate (1 - SIDs / items)", Metric.DUPLICATE_RATE, _SHARE),
    ("  of that by equal embeddings", Metric.EXACT_DUPLICATE_RATE, _SHARE),
    ("items that share their SID", Metric.SHARED_RATE, _SHARE),
    ("largest bucket", Metric.LARGEST_BUCKET, _COUNT),
    ("relative MSE of the reconstruction", Metric.RELATIVE_MSE, ".4f"),
    ("mean cosine of the reconstruction", Metric.MEAN_COSINE, ".4f"),
)
_WHERE_ANY = (  # not worth a line at 0
    ("items moved to a SID of their own", Metric.MOVED_ITEMS, _COUNT),
    ("  that found none", Metric.UNPLACED_ITEMS, _COUNT),
    ("events", Metric.EVENTS, _COUNT),
    ("  without a user", Metric.EVENTS_WITHOUT_USER, _COUNT),
    ("  without a position", Metric.EVENTS_WITHOUT_POSITION, _COUNT),
    ("  of unknown items", Metric.EVENTS_OF_UNKNOWN_ITEMS, _COUNT),
    ("  tied with another item", Metric.EVENTS_TIED, _COUNT),
    ("  followed by the same item", Metric.EVENTS_REPEATED, _COUNT),
    ("users of events", Metric.EVENT_USERS, _COUNT),
)
_WHERE_MEASURED = (  # neighbours not of every catalogue, behaviour with events, churn with a published run before
    ("pairs of consecutive items", Metric.EVENT_PAIRS, _COUNT),
    ("users that judge behaviour", Metric.JUDGING_USERS, _COUNT),
    ("neighbours kept, of the nearest 20", Metric.NEIGHBOUR_RECALL_20, _SHARE),
    ("behaviour retention among 200 (embedding: 100%)", Metric.RETENTION_200, _SHARE),
    ("AUC of behaviour pairs, SIDs", Metric.AUC_SUM_POPULARITY, ".3f"),
    ("AUC of behaviour pairs, embeddings", Metric.AUC_RAW_POPULARITY, ".3f"),
    ("SIDs changed since the published run", Metric.CHURN, _SHARE),
)


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
        """Show a spinner while the step lasts, and one line with its time and notes when it is done."""
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
        """Print a line of its own."""
        self._console.print(f"[bold]{text}[/]", highlight=False)

    def note(self, text: str) -> None:
        """Keep a text for the line that ends the step."""
        self._notes.append(text)

    def progress(self, stage: str, done: int, total: int, **figures: float) -> None:
        """Move the bar and show the latest figures."""
        if self._progress is not None and self._bar is not None:
            shown = "  ".join(f"{name} {value:.3g}" for name, value in figures.items())
            self._progress.update(
                self._bar, description=f"[bold]{self._step}[/] {stage} [dim]{shown}[/]", completed=done, total=total
            )

    def loading(self, text: str) -> None:
        """Print a line about something slow before the first step."""
        self._console.print(f"[dim]{text}[/]", highlight=False)


def show_outcome(console: Console, outcome: Outcome, config: Config, store: Store) -> None:
    """Print the summary of a run: figures per level, figures of the whole catalogue, the gate, where things are."""
    if outcome.repeated:
        console.print(
            f"Nothing has changed since run {outcome.state.run_id}: same settings, same rows. Nothing was written."
        )
    show_notes(console, outcome.state.notes)
    console.print(_levels_table(outcome, config.measure.headline_eta))
    console.print(_catalogue_table(outcome))
    for result in outcome.gate:
        console.print(_gate_line(result), highlight=False)
    published = outcome.state.status == Status.PUBLISHED.value
    if published and outcome.followed != outcome.state.run_id:
        back = f"drq publish --out {store.out} --run {outcome.state.run_id}"
        console.print(f"Readers follow run {outcome.followed} since then; {back} moves them back.", soft_wrap=True)
    console.print(f"\nRun [bold]{outcome.state.run_id}[/]: {_verdict(outcome, store.channel)}", soft_wrap=True)
    if outcome.state.status != Status.OVERTAKEN.value:  # the page is of the run that readers follow
        console.print(f"  report     {store.report}", highlight=False, soft_wrap=True)
    console.print(
        f"  tables     {store.location(TABLES[0]).removesuffix(TABLES[0].name)}", highlight=False, soft_wrap=True
    )
    if not config.external:
        console.print(f"  tokenizer  {store.tokenizers}/{outcome.state.tokenizer_id}", highlight=False, soft_wrap=True)


def show_notes(console: Console, notes: Sequence[str]) -> None:
    """Print what to know before the figures are read, a line each."""
    for note in notes:
        console.print(f"[yellow]note:[/] {_plain(note)}", highlight=False, soft_wrap=True)


def show_comparison(console: Console, comparison: Comparison, page: str) -> None:
    """Print the table of a comparison, with stars for winners, and where its page is."""
    table = Table(title="Tokenizers compared", title_justify="left", box=SIMPLE_HEAD)
    table.caption, table.caption_justify = "★ ahead of all others by more than the noise; ◆ on the Pareto front", "left"
    table.add_column("", no_wrap=True)
    for name in comparison.names:
        table.add_column(f"{'◆ ' if name in comparison.front else ''}{name}", justify="right", no_wrap=True)
    for title, cells in rows(comparison):
        table.add_row(title, *(f"★ {text}" if wins else text for text, wins in cells))
    console.print(table)
    if pick(comparison):
        console.print(pick(comparison))
    if len(comparison.seeds) < 2:
        console.print("One seed: the noise is not known, so no winners are marked (--seeds 3 tells).")
    console.print(f"  page  {page}", highlight=False, soft_wrap=True)


def show_probe(console: Console, points: Sequence[Point], page: str) -> None:
    """Print downstream figures of all questions side by side, what predicts them, and where the page is."""
    comparison = downstream(points, SEGMENTS[:1])
    table = Table(title="What SIDs are worth", title_justify="left", box=SIMPLE_HEAD)
    table.caption, table.caption_justify = "★ ahead of all others by more than the noise", "left"
    for heading in ("", "tokenizer", "figure"):
        table.add_column(heading, no_wrap=True)
    for title, cells in rows(comparison):
        for name, (text, wins) in zip(comparison.names, cells, strict=True):
            table.add_row("" if name != comparison.names[0] else title, name, f"★ {text}" if wins else text)
    console.print(table)
    for title, text in bases(points, SEGMENTS[:1]):
        console.print(f"  {title}: {text}, without SIDs", highlight=False, soft_wrap=True)
    for sentence in best_predictors(predictions(points)):
        console.print(f"  what predicts {sentence}", highlight=False, soft_wrap=True)
    console.print(f"  page  {page}", highlight=False, soft_wrap=True)


def _verdict(outcome: Outcome, channel: str) -> str:
    if outcome.state.status == Status.PUBLISHED.value:
        return "[green]published[/]" + ("" if channel == LIVE else f" for the readers of {channel}")
    if outcome.state.status == Status.OVERTAKEN.value:
        return "[yellow]not published: readers follow a newer run[/]"
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
    figures = Metrics(outcome.figures)
    for level, size in enumerate(outcome.codebook_sizes, start=1):
        table.add_row(str(level), f"{size:,}", *_level_cells(figures, level, size, eta))
    return table


def _level_cells(figures: Metrics, level: int, size: int, eta: float) -> tuple[str, ...]:
    capacity = figures.value(Metric.EFFECTIVE_CAPACITY, level, eta=eta)
    return (
        in_column(figures.value(Metric.UTILIZATION, level), _SHARE),
        in_column(figures.value(Metric.PERPLEXITY, level), ".1f"),
        in_column(capacity, ".1f"),
        in_column(None if capacity is None else capacity / size, _SHARE),
        in_column(figures.value(Metric.DISTRIBUTION, level), ".3f"),
        in_column(figures.value(Metric.GEOMETRY, level, eta=eta), ".3f"),
        in_column(figures.value(Metric.RESIDUAL_SHARE, level), _SHARE),
    )


def _catalogue_table(outcome: Outcome) -> Table:
    table = Table(title="Catalogue", title_justify="left", show_header=False, box=SIMPLE_HEAD)
    state, figures = outcome.state, Metrics(outcome.figures)
    table.add_column("figure")
    table.add_column("value", justify="right")
    table.add_row("rows in", f"{state.rows_in:,}")
    table.add_row("rows with a SID", f"{state.rows_out or 0:,}")
    table.add_row("rows in quarantine", f"{state.rows_quarantined or 0:,}")
    for title, metric, spec in _ALWAYS:
        table.add_row(title, in_column(figures.value(metric), spec))
    for title, metric, spec in _WHERE_ANY:
        value = figures.value(metric)
        if value:
            table.add_row(title, in_column(value, spec))
    for title, metric, spec in _WHERE_MEASURED:
        value = figures.value(metric)
        if value is not None:
            table.add_row(title, in_column(value, spec))
    return table


def _gate_line(result: GateResult) -> str:
    where = f" at level {result.level}" if result.level and "level" not in result.rule else ""
    mark = "[green]✓[/]" if result.passed else "[red]✗[/]"
    return f"{mark} gate: {result.rule}: {result.found}{where}"


def _plain(text: str) -> str:
    """Text with rich's markup characters taken literally."""
    return text.replace("[", r"\[")
