"""The page: hostile names, nothing from the network, parts without figures, the same bytes again."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from report.builder import HOSTILE, build

from drq_spark.metrics import Metric
from drq_spark.page.svg import drawing
from drq_spark.report.data import LevelUsage, MetricRow, ReportData
from drq_spark.report.render import SECTIONS, render
from drq_spark.schemas import EXTERNAL

VOID = {"meta", "link", "img", "br", "hr", "input"}
GROUPS = 8
LOADING = {"src", "srcset", "data", "poster", "action", "formaction", "background", "cite", "ping"}


class Page(HTMLParser):
    """Every tag with its attributes, all text, and whether tags close in the order in which they opened."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.scripts: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        assert len(dict(attrs)) == len(attrs), f"an attribute twice in <{tag}>"
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] == ["script"]:
            self.scripts.append(data)
        elif self.open[-1:] != ["style"]:
            self.text.append(data)

    def sections(self) -> set[str]:
        return {attrs["id"] for tag, attrs in self.tags if tag == "section"}


def without(data: ReportData, *metrics: Metric) -> ReportData:
    return replace(data, metrics=tuple(row for row in data.metrics if row.metric not in metrics))


@pytest.fixture(scope="module")
def data():
    return build()


@pytest.fixture(scope="module")
def text(data):
    return render(data)


@pytest.fixture(scope="module")
def small():
    return build(codes=16, levels=1, items=5000)


@pytest.fixture
def undrawn(monkeypatch):
    """Charts are made as ever and come out empty: for tests of the page around them, and half as dear."""
    empty = '<svg viewBox="0 0 1 1"></svg>'
    monkeypatch.setattr(Figure, "savefig", lambda figure, buffer, **options: buffer.write(empty))


def hostile_run() -> ReportData:
    bad = HOSTILE[0]
    data = build(names=HOSTILE, failed=True, exposure=False, churn=False)
    return replace(
        data,
        run={key: bad for key in data.run} | {"status": "gate_failed"},
        quarantine={bad: 3},
        seconds={bad: 1.0},
        kind=bad,
        tokenizer_id=bad,
        normalize=bad,
        training={bad: [bad], "nested": {bad: bad}},
        config={bad: bad},
        previous_run_id=bad,
        gate=tuple(replace(rule, rule=bad) for rule in data.gate),
        metrics=(*data.metrics, MetricRow(bad, 0, bad, None, 1.0)),
    )


@pytest.mark.usefixtures("undrawn")
def test_hostile_text_stays_text():
    text = render(hostile_run())
    page = Page(text)
    assert page.open == []
    assert not {"img", "iframe", "object", "embed", "link", "base", "form"} & {tag for tag, _ in page.tags}
    assert not [name for _, attrs in page.tags for name in attrs if name.startswith("on")]
    items, script = page.scripts
    told = json.loads(items)["names"]
    assert all(any(found.startswith(name[:80]) for found in told) for name in HOSTILE)
    assert f"script-src 'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'" in text
    text = text.replace(items, "")
    for name in HOSTILE:
        assert name[:100] in "".join(page.text)
        assert name not in text or escape(name) == name
    assert "49" not in text[text.index("7 * 7") : text.index("7 * 7") + 9]
    assert "x" * 200 not in text


@pytest.mark.parametrize("size", [{}, {"failed": True}, {"codes": 8192, "levels": 8, "items": 48_000_000}], ids=str)
def test_a_page_stands_alone(size):
    text = render(build(**size))
    page = Page(text)
    assert page.open == []
    assert text.startswith("<!doctype html>")
    assert len(text.encode()) < 1_000_000  # a fifth of what a page may have
    assert not re.search(r"https?:|@import|url\((?!#)", text)
    for tag, attrs in page.tags:
        assert not LOADING & set(attrs), tag
        assert (attrs.get("href") or "#").startswith("#")
    assert not re.search(r"\b(nan|None|inf)\b", "".join(page.text), re.IGNORECASE)


def test_ids_are_unique_and_references_lead_somewhere(text):
    page = Page(text)
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(set(ids)) == len(ids)
    used = {attrs["href"][1:] for _, attrs in page.tags if "href" in attrs} | set(re.findall(r"url\(#([^)]*)\)", text))
    assert used <= set(ids)


def test_every_chart_speaks(text):
    drawings = [attrs for tag, attrs in Page(text).tags if tag == "svg"]
    assert len(drawings) == (3 + 2 + 2 + 4) + (2 + 4 + 1 + 2 + 3)  # the latter: overlaps, noise, tree, gains, behaviour
    for attrs in drawings:
        assert attrs["role"] == "img"
        assert len(attrs["aria-label"]) > 30


def test_colours_come_from_the_page(text):
    """No colour of a drawing is fixed, and every variable has a value in both schemes."""
    drawings = "".join(re.findall(r"<svg.*?</svg>", text, re.DOTALL))
    assert not re.search(r"#[0-9a-f]{6}\b", drawings)
    for variable in set(re.findall(r"var\((--[a-z0-9-]+)\)", text)) - {"--sans", "--mono"}:
        assert len(re.findall(rf"{variable}: #", text)) == 2, variable


def test_no_two_sections_give_the_same_name(data):
    """One would silently take the place of the other in the template."""
    with drawing():
        names = [name for parts in SECTIONS for name in parts(data)]
    assert len(names) == len(set(names))


def test_the_same_data_give_the_same_bytes(data, text):
    assert render(data) == text
    assert render(build()) == text


def test_every_metric_is_on_the_page(data, text):
    """Each under its own name in the table of all figures; none is left out."""
    shown = {row.metric for row in data.metrics}
    assert shown == {metric.value for metric in Metric}
    assert shown <= set(Page(text).text)


def test_every_metric_is_explained():
    text = (Path(__file__).parents[2] / "docs" / "figures.md").read_text(encoding="utf-8")
    first_cells = re.findall(r"^\|([^|]*)\|", text, re.MULTILINE)
    assert {metric.value for metric in Metric} <= set(re.findall(r"`(\w+)`", " ".join(first_cells)))


@pytest.mark.usefixtures("undrawn")
def test_parts_without_figures_do_not_appear(data):
    everything = Page(render(data)).sections()
    assert {
        "churn",
        "quarantine",
        "fidelity",
        "movement",
        "information",
        "examples",
        "explorer",
        "behaviour",
    } <= everything
    bare = replace(data, metrics=(), gate=(), usage=(), buckets=(), examples=(), quarantine={}, seconds={})
    bare = replace(bare, overlap=(), tree=(), confusions=(), at_risk=(), gains=(), explored=None)
    page = Page(render(bare))
    assert page.sections() == {"figures", "details", "glossary"}
    links = {attrs["href"] for tag, attrs in page.tags if tag == "a"}
    assert {link for link in links if not link.startswith("#term-")} == {
        "#content",
        "#figures",
        "#details",
        "#glossary",
    }


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    ("gone", "tables", "section"),
    [
        ((Metric.CHURN, Metric.CHURN_MATCHED, Metric.CODE_DRIFT), (), "churn"),
        (
            (Metric.EFFECTIVE_CAPACITY, Metric.FLIP_RATE, Metric.SID_SURVIVAL, Metric.SIGMA),
            ("confusions", "at_risk"),
            "movement",
        ),
        (
            (
                Metric.RELATIVE_MSE,
                Metric.MEAN_COSINE,
                Metric.RESIDUAL_SHARE,
                Metric.MEAN_MARGIN,
                Metric.UNCERTAIN_SHARE,
                Metric.RESIDUAL_SHARE_NEW,
                Metric.RESIDUAL_SHARE_UNSEEN,
            ),
            (),
            "fidelity",
        ),
        (
            (Metric.PREFIX_ENTROPY, Metric.CONDITIONAL_ENTROPY, Metric.OCCUPIED_PREFIXES),
            ("tree", "gains"),
            "information",
        ),
        (
            tuple(
                metric
                for metric in Metric
                if metric.value.startswith(
                    ("auc", "hit", "raw_hit", "retention", "neighbour", "behaviour", "event", "judging")
                )
            ),
            (),
            "behaviour",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_missing_figure_takes_its_part_away(data, gone, tables, section):
    page = Page(render(replace(without(data, *gone), **dict.fromkeys(tables, ()))))
    assert section not in page.sections()
    assert f"#{section}" not in {attrs.get("href") for _, attrs in page.tags}


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("which", range(GROUPS))
def test_the_page_does_without_any_figure(small, which):
    """Figures that stand beside each other are in different groups: no part of the page misses many at a time."""
    page = Page(render(without(small, *list(Metric)[which::GROUPS])))
    assert page.open == []
    assert not re.search(r"\b(nan|None)\b", "".join(page.text))


@pytest.mark.parametrize("which", [0, 1], ids=["every other figure", "and the rest"])
def test_a_figure_that_is_nan_and_one_that_is_missing_are_the_same_to_the_reader(small, which):
    gone = list(Metric)[which::2]
    rows = tuple(replace(row, value=np.nan) if row.metric in gone else row for row in small.metrics)
    assert render(replace(small, metrics=rows)) == render(without(small, *gone))


@pytest.mark.usefixtures("undrawn")
def test_whole_sids_that_moved_without_levels_to_compare(data):
    """Two runs with other numbers of codes: only whole SIDs can be compared."""
    whole = tuple(row for row in data.metrics if row.level == 0)
    page = Page(render(replace(data, metrics=whole)))
    assert "churn" in page.sections()
    assert "86\xa0% of the items have another SID than before." in "".join(page.text)


@pytest.mark.usefixtures("undrawn")
def test_no_exposure_no_word_of_it():
    page = Page(render(build(exposure=False)))
    body = "".join(page.text)
    body = body[: body.rindex("Run details")]
    assert "xposure" not in body


@pytest.mark.usefixtures("undrawn")
def test_a_level_that_nothing_uses(data):
    empty = LevelUsage(np.zeros(256, np.int64), np.zeros(256))
    text = render(replace(data, usage=(empty,) * 3))
    assert "256 of 256 codes unused" in text


@pytest.mark.usefixtures("undrawn")
def test_one_level_of_two_codes_and_no_items(data):
    tiny = build(codes=2, levels=1, items=3)
    assert Page(render(replace(tiny, rows_in=0, rows_out=0))).open == []
    assert Page(render(tiny)).open == []


def from_elsewhere(data: ReportData) -> ReportData:
    """As of a map that came without embeddings and codebooks."""
    gone = (
        Metric.EXACT_DUPLICATE_RATE, Metric.EXCESS_DUPLICATE_RATE, Metric.RELATIVE_MSE, Metric.MEAN_COSINE,
        Metric.RESIDUAL_SHARE, Metric.MEAN_MARGIN, Metric.UNCERTAIN_SHARE, Metric.CHURN, Metric.CHURN_MATCHED,
        Metric.RELATIVE_MSE_ENCODED, Metric.RESIDUAL_SHARE_NEW, Metric.RESIDUAL_SHARE_UNSEEN, Metric.CODE_DRIFT,
    )  # fmt: skip
    unmoved = tuple(row for row in data.metrics if row.eta is None and row.ruler is None)
    bare = without(replace(data, metrics=unmoved), *gone)
    return replace(
        bare, kind="external", gate=(), overlap=(), confusions=(), at_risk=(), dim=0, latent_dim=0, sigma_units=(),
        training={}, previous_run_id=None,
        notes=("K is <b>taken</b> to be the largest code + 1.",),
        buckets=tuple(replace(bucket, distinct_embeddings=None) for bucket in data.buckets),
    )  # fmt: skip


@pytest.mark.usefixtures("undrawn")
def test_a_map_and_nothing_else(data, text):
    everything = Page(text).sections()
    text = render(from_elsewhere(data))
    page = Page(text)
    assert page.sections() == everything - {"gate", "movement", "churn", "fidelity"} | {"notes"}
    words = " ".join(page.text)
    assert "K is <b>taken</b> to be" in words
    assert "<b>taken" not in text
    for part in ("Embeddings", "embedding dimension D", "σ at η = 1", "None", "nan"):
        assert part not in page.text
    assert "; K_eff = K" not in "".join(page.text)  # of a caption
    assert "By items" in page.text
    assert "1 − unique SIDs / items: would have to go for all SIDs to differ" in words
    assert "the tokenizer adds" not in "".join(page.text)


def test_the_users_drawing_settings_do_not_matter(text, monkeypatch):
    import matplotlib as mpl

    with mpl.rc_context({"lines.linewidth": 9, "text.color": "red", "svg.fonttype": "path"}):
        assert render(build()) == text


def collapsed() -> ReportData:
    """A first level of which five codes do the work."""
    data = build(codes=64, levels=3, items=50_000)
    rows = {("utilization", 1): 0.1, ("perplexity", 1): 5.25}
    bent = tuple(
        replace(row, value=rows[row.metric, row.level])
        if (row.metric, row.level) in rows and row.weighting == "items"
        else row
        for row in data.metrics
    )
    return replace(data, metrics=bent)


@pytest.mark.usefixtures("undrawn")
def test_advice_is_told_at_the_top_and_beside_its_figures():
    """A collapsed first level: a link at the top leads to cause, remedy and numbers in the part about usage."""
    text = render(collapsed())
    top, beside = text.index('href="#advice-collapsed"'), text.index('id="advice-collapsed"')
    assert text.index('<section id="verdict"') < top < text.index('<section id="usage"') < beside
    assert beside < text.index('<section id="capacity"')
    told = text[beside : text.index("</aside>", beside)]
    assert "The first level has collapsed" in told
    assert "tokenizer.balance" in told
    assert "perplexity of level 1 <b>5.25</b>" in told


@pytest.mark.usefixtures("undrawn")
def test_settings_of_ours_are_no_advice_for_sids_from_elsewhere():
    text = render(replace(collapsed(), kind=EXTERNAL))
    told = text[text.index('id="advice-collapsed"') :]
    told = told[: told.index("</aside>")]
    assert "restart unused codes" in told
    assert "tokenizer." not in told
    assert "drq" not in told


@pytest.mark.usefixtures("undrawn")
def test_advice_without_its_charts_still_has_a_place(data):
    bare = replace(data, usage=(), buckets=(), examples=(), quarantine={}, seconds={})
    rows = [
        MetricRow("utilization", 1, "items", None, 0.1),
        MetricRow("perplexity", 1, "items", None, 3.0),
        MetricRow("exact_duplicate_rate", 0, "items", None, 0.3),
        MetricRow("code_drift", 2, "items", None, 0.2),
    ]
    page = Page(render(replace(bare, metrics=tuple(rows))))
    ids = {attrs["id"] for _, attrs in page.tags if "id" in attrs}
    assert {"advice-collapsed", "advice-duplicates", "advice-drifted", "usage", "churn"} <= ids
    assert {attrs["href"][1:] for _, attrs in page.tags if "href" in attrs} <= ids


@pytest.mark.usefixtures("undrawn")
def test_a_sound_run_has_nothing_to_work_on(data):
    rows = tuple(row for row in data.metrics if row.metric == Metric.RELATIVE_MSE)
    assert "What to work on" not in render(replace(data, metrics=rows))


@pytest.mark.usefixtures("undrawn")
def test_parts_of_sids_from_elsewhere(data):
    """No tokenizer: no dimensions, no sigma, no overlaps; codes, collisions and behaviour are there."""
    gone = ("relative_mse", "residual_share")
    kept = tuple(row for row in data.metrics if row.eta is None and row.metric not in gone)
    data = replace(data, dim=0, latent_dim=0, normalize="none", sigma_units=(), overlap=(), training={}, metrics=kept)
    page = Page(render(data))
    assert {"usage", "collisions", "behaviour"} <= page.sections()
    assert "latent dimension d" not in page.text
    assert not re.search(r"\bNone\b", "".join(page.text))


def test_other_rulers_and_what_they_amount_to(text):
    words = "".join(Page(text).text)
    assert "noise on the embeddings, ρ\xa0=\xa00.2" in words
    assert "change between the two versions" in words
    assert "as η = 0.139" in words  # sigma 0.03 * 0.2 in units of 0.04317
    assert re.search(r"Whole SIDs work like [\d,]+ ± [\d,]+ \(standard error\)", words)
