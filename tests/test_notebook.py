"""A run from a notebook: what keywords become, and what the result shows. The notebooks themselves make whole runs."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import date, datetime
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib import image
from matplotlib.colors import to_hex
from report.builder import build
from runs_in_hand import state_of

from drq_spark import measure_sids, notebook, run_all
from drq_spark.config import load_config
from drq_spark.errors import ConfigError
from drq_spark.gate import GateResult
from drq_spark.metrics import MetricRow
from drq_spark.outcome import Outcome
from drq_spark.page import svg
from drq_spark.progress import SILENT
from drq_spark.run_result import RunResult
from drq_spark.store import Store

FIGURES = (
    MetricRow("unique_sids", 0, "items", None, 1234.0),
    MetricRow("effective_capacity", 1, "items", 0.5, 200.0, 3.0, "latent"),
)


@pytest.fixture
def result(tmp_path) -> RunResult:
    """A finished run without its tables, and the data of a page."""
    gate = (GateResult("<utilization> at least 0.5", "utilization", 1, 0.1, False),)
    outcome = Outcome(state_of("run-7", status="gate_failed", rows_out=4), (256,) * 3, FIGURES, gate, False, None)
    made = RunResult(outcome, Store(None, str(tmp_path)), load_config())
    made.__dict__["_data"] = build()
    return made


@pytest.fixture
def asked(monkeypatch):
    """What the pipeline is asked for; nothing is done."""
    calls = []

    def record(*arguments, **more):
        calls.append((arguments, more))
        return Outcome(state_of("run-7"), (256,), (), (), False, None)

    monkeypatch.setattr(notebook, "run_by_config", record)
    monkeypatch.setattr(notebook, "measure_by_config", record)
    return calls


def test_keywords_are_settings(asked, tmp_path):
    (tmp_path / "more.yaml").write_text("tokenizer: {levels: 5}\nmeasure: {headline_eta: 0.2}\n")
    run_all(
        "spark", items="shop.items", events="shop.events", out="results", item_id="sku", embedding="vector",
        exposure="views", name="title", attributes=("brand",), event_user="who", event_item="what",
        event_order="when", tokenizer="rq_kmeans", codes=np.array([64, 32]), seed=5, settings={"tokenizer.levels": 2},
        files=[tmp_path / "more.yaml"], run_date=date(2024, 2, 3), night=True, watcher=SILENT,
    )  # fmt: skip
    ((spark, config, day, now, watcher), more) = asked[0]
    assert (spark, day, watcher) == ("spark", date(2024, 2, 3), SILENT)
    assert more == {"night": True, "retrain": False}
    assert config.items.path == "shop.items"
    assert config.items.columns() == ("sku", "vector", "views", "title", "brand")
    assert (config.events.path, config.events.user, config.events.item, config.events.order) == (
        "shop.events", "who", "what", "when"
    )  # fmt: skip
    assert config.tokenizer.codebook_sizes == (64, 32)
    assert config.measure.headline_eta == 0.2
    assert (config.seed, config.store.out) == (5, str(Path("results").absolute()))
    assert abs((datetime.now(now.tzinfo) - now).total_seconds()) < 600


def test_keywords_of_a_map_from_elsewhere_are_settings(asked):
    found = measure_sids(
        "spark", sids="index.json", items="shop.items", events="shop.events", out="results", codebooks="books.npz",
        levels=2, codes=(16, 8), item_id="sku", embedding="vector", exposure="views", name="title",
        attributes=["brand"], event_user="who", event_item="what", event_order="when",
        settings={"sids.id_shift": -1}, run_date=date(2024, 2, 3), watcher=SILENT,
    )  # fmt: skip
    ((spark, config, day, now, watcher), more) = asked[0]
    assert (spark, day, watcher, more) == ("spark", date(2024, 2, 3), SILENT, {})
    assert (config.sids.path, config.sids.codebooks, config.sids.id_shift) == ("index.json", "books.npz", -1)
    assert (config.sids.levels, config.sids.codes) == (2, (16, 8))
    assert config.items.columns() == ("sku", "vector", "views", "title", "brand")
    assert (config.items.path, config.events.path, config.events.user, config.events.item, config.events.order) == (
        "shop.items", "shop.events", "who", "what", "when"
    )  # fmt: skip
    assert config.store.out == str(Path("results").absolute())
    assert abs((datetime.now(now.tzinfo) - now).total_seconds()) < 600
    assert found.run_id == "run-7"


def test_a_map_must_be_named(asked):
    with pytest.raises(ConfigError, match=r"no SIDs to measure: name the map of another system with sids="):
        measure_sids("spark", items="shop.items", out="results")
    with pytest.raises(ConfigError, match=r"^sids is a DataFrame; a run reads a path or a table"):
        measure_sids("spark", sids=pd.DataFrame(), out="results")
    assert asked == []


def test_what_is_not_given_stays_as_it_is_by_default(asked):
    run_all("spark", items="shop.items", out="/results")
    assert asked[0][0][1] == load_config(options={"items.path": "shop.items", "store.out": "/results"})
    assert asked[0][0][2] == date.today()


def test_rows_are_refused_in_a_line(asked):
    with pytest.raises(ConfigError, match=r"^items is a DataFrame; a run reads a path or a table.*drq_spark\.ml$"):
        run_all("spark", items=pd.DataFrame(), out="/results")
    assert asked == []


def test_figures_are_a_table(result):
    assert result.metrics.columns.tolist() == [
        "metric", "level", "weighting", "eta", "ruler", "value", "standard_error"
    ]  # fmt: skip
    assert result.metrics.set_index("metric")["value"].to_dict() == {"unique_sids": 1234.0, "effective_capacity": 200.0}


def test_a_figure_is_found_by_name(result):
    assert result.metric("unique_sids") == 1234.0
    assert result.metric("effective_capacity", level=1, eta=0.5) == 200.0
    with pytest.raises(ConfigError, match="did you mean 'unique_sids'"):
        result.metric("unique_sid")


class Tables:
    """A store that tells what is read of it; its tables are there."""

    tables = True

    def read(self, table, run_id=None):
        return table.name, run_id

    def exists(self, table):
        return self.tables


def test_tables_are_those_of_the_run(result):
    ours = replace(result, store=Tables())
    assert ours.sids == ("current_sids", None)
    assert ours.quarantine == ("sid_quarantine", "run-7")
    assert ours.changes == ("sid_changes", "run-7")


def test_sids_from_elsewhere_are_the_map_that_was_measured(result):
    elsewhere = replace(result, store=Tables(), config=load_config(options={"sids.path": "index.json"}))
    assert elsewhere.sids == ("sids", "run-7")
    with pytest.raises(ConfigError, match="run run-7 has no tokenizer: its SIDs come from elsewhere"):
        _ = elsewhere.tokenizer


def test_a_run_that_was_never_published_changed_nothing(result, monkeypatch):
    monkeypatch.setattr(Tables, "tables", False)
    with pytest.raises(ConfigError, match="run run-7 changed nothing for readers: no run was published yet"):
        _ = replace(result, store=Tables()).changes


def test_it_says_what_it_is(result):
    assert repr(result) == "<RunResult run-7: gate_failed, 4 items>"
    shown = result._repr_html_()
    assert "1,234" in shown
    assert "&lt;utilization&gt; at least 0.5" in shown
    assert not result.published


def test_the_report_is_shown_in_place(result, tmp_path):
    (tmp_path / "report.html").write_text('<p title="x">page</p>', encoding="utf-8")
    page = result.report(height=300)
    assert page.html == '<p title="x">page</p>'
    shown = page._repr_html_()
    assert "&lt;p title=&quot;x&quot;&gt;page&lt;/p&gt;" in shown
    assert 'height="300"' in shown


@pytest.mark.parametrize("plot", ["plot_capacity", "plot_perturbation", "plot_usage"])
def test_charts_are_those_of_the_report_in_colours_of_their_own(result, plot):
    drawn = getattr(result, plot)()
    figure = drawn.get_figure(root=True)
    figure.canvas.draw()
    placeholders = {svg.colour(name) for name in ("ink", "muted", "line", "effective", "close", "uneven", "level-1")}
    found = {shown for artist in figure.findobj() for part in ("color", "facecolor", "edgecolor")
             if isinstance(shown := getattr(artist, f"get_{part}", lambda: None)(), str | tuple)}  # fmt: skip
    colours = {to_hex(shown) for shown in found if shown not in ("none", "auto")}
    assert colours & placeholders == set()
    assert colours & {"#1f5fa8", "#14346e"}  # effective, or the first level
    assert len(drawn.patches) + len(drawn.lines) >= 3


def test_bars_are_as_long_as_the_figures(result):
    """The third bar of a level is what is left: D G of it."""
    drawn, data = result.plot_capacity(), result._data
    d, g = data.capacity_parts(1, "items")
    left = [bar for bar in drawn.patches if to_hex(bar.get_facecolor()) == "#1f5fa8"]
    assert left[0].get_width() == pytest.approx(d * g)
    assert len(left) == len(data.codebook_sizes)


def test_charts_that_are_not_there(result):
    with pytest.raises(ConfigError, match="level is 4; the run has levels 1 to 3"):
        result.plot_usage(4)
    with pytest.raises(ConfigError, match="run run-7 has no figures of capacity by nothing"):
        result.plot_capacity("nothing")


def test_a_kernel_shows_a_picture(result, monkeypatch):
    pictures = []
    monkeypatch.setitem(sys.modules, "ipykernel", sys)
    monkeypatch.setattr("IPython.display.display", pictures.append)
    result.plot_usage(2)
    assert pictures[0].data.startswith(b"\x89PNG")
    shown = image.imread(BytesIO(pictures[0].data))
    assert (shown[:, [0, -1]] == shown[0, 0]).all(), "nothing is cut off at the sides"


def test_charts_say_what_their_axes_and_lines_are(result):
    use = result.plot_usage(1)
    assert use.get_ylabel() == "use of the code"
    assert [text.get_text() for text in use.get_legend().get_texts()] == ["by exposure", "by items"]
    assert result.plot_perturbation().get_ylabel() == "share of the codes that count"
