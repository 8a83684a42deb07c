"""Write docs/gallery.md: what sick semantic IDs look like, beside healthy ones. Takes some five minutes.

    python bench/gallery.py docs [--only dead copies ..]

Each illness is put into a catalogue of 1,500 made items, or into the codebooks of another system, and goes through a
run with its own report. A chart is cut out of that report as it is; the figures and what the report advises stand
beside it.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from html import unescape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from drq_spark import measure_sids, run_all
from drq_spark.errors import InputRefused
from drq_spark.metrics import Metric, Metrics
from drq_spark.page.numbers import three_digits
from drq_spark.progress import SILENT
from drq_spark.report.advice.advise import advice
from drq_spark.run_result import RunResult
from drq_spark.session import session_for_run

ITEMS, GROUPS, DIM, USERS, WALK = 1500, 32, 24, 500, 8
FINER = (0.8, 0.7)  # how far the parts of a group are apart, and the parts of a part
SHAPE = {"levels": 3, "codes": 32}
QUICK = {"train.behaviour.steps": 200, "measure.perturbed_items": 500, "measure.ranked_pairs": 500}
ETA = 0.5
ROOM = 12  # px around a chart, whose numbers stand over its edge
FIGURES = {
    "dead codes, level 1": ("dead_codes", 1, None),
    "perplexity, level 1": ("perplexity", 1, None),
    "entropy that level 2 adds, nats": ("conditional_entropy", 2, None),
    "effective capacity, level 1": ("effective_capacity", 1, ETA),
    "effective capacity, level 3": ("effective_capacity", 3, ETA),
    "relative error": ("relative_mse", 0, None),
    "AUC of behaviour, embeddings": ("auc_raw_popularity", 0, None),
    "AUC of behaviour, SIDs": ("auc_sum_popularity", 0, None),
    "duplicate rate": ("duplicate_rate", 0, None),
    "of which exact copies": ("exact_duplicate_rate", 0, None),
    "churn": ("churn", 0, None),
    "code drift, level 1, bits": ("code_drift", 1, None),
}


@dataclass(frozen=True)
class Case:
    """One picture of the gallery.

    Attributes:
        name: Of its file.
        title, before, after: Words around the picture.
        chart: How the label of its chart begins.
        figures: Names in FIGURES that show the illness.
        made: Makes the run.
        advised: Whether the first advice of its report is about this fault.
    """

    name: str
    title: str
    before: str
    after: str
    chart: str
    figures: tuple[str, ...]
    made: Callable[[Gallery], RunResult]
    advised: bool = True


class Gallery:
    """A session, a folder, and the healthy catalogue that all others are made from."""

    def __init__(self, folder: Path) -> None:
        self.spark, self.folder = session_for_run(small_data=True), folder
        self.last = ""  # what else there is to say of a case
        self.rng = np.random.default_rng(0)
        self.group = self.rng.integers(0, GROUPS, ITEMS)
        finer = [scale * self.rng.normal(size=(GROUPS, DIM))[self.rng.integers(0, GROUPS, ITEMS)] for scale in FINER]
        self.x = self.rng.normal(size=(GROUPS, DIM))[self.group] + sum(finer) + 0.1 * self.rng.normal(size=(ITEMS, DIM))
        walks = [self.rng.choice(np.flatnonzero(self.group == self.rng.choice(GROUPS)), WALK) for _ in range(USERS)]
        users, places = np.repeat(np.arange(USERS), WALK), np.tile(np.arange(WALK), USERS)
        events = pd.DataFrame({"user_id": users, "item_id": np.concatenate(walks), "timestamp": places})
        events.to_parquet(folder / "events.parquet")

    def items(self, name: str, x: np.ndarray) -> str:
        """Path of an items table with these embeddings."""
        table = pd.DataFrame({"item_id": np.arange(len(x)), "embedding": list(x.astype(np.float32))})
        table.to_parquet(self.folder / f"{name}.parquet")
        return str(self.folder / f"{name}.parquet")

    def run(self, name: str, x: np.ndarray, **more: Any) -> RunResult:
        """A run on these embeddings."""
        places = {"items": self.items(name, x), "events": str(self.folder / "events.parquet")}
        settings = QUICK | more.pop("settings", {})
        out = str(self.folder / more.pop("out", name))
        return run_all(self.spark, **places, out=out, settings=settings, watcher=SILENT, **(SHAPE | more))

    def sound(self, name: str, x: np.ndarray, **more: Any) -> RunResult:
        """A run of a tokenizer that suits the catalogue."""
        settings = {"tokenizer.balance": 0.55, "tokenizer.beam": 4} | more.pop("settings", {})
        return self.run(name, x, tokenizer="rq_kmeans", settings=settings, **more)

    def elsewhere(self, name: str, books: list[np.ndarray]) -> RunResult:
        """The measured SIDs of a system with these codebooks."""
        left, codes = self.x, []
        for book in books:
            codes.append(np.square(left[:, None] - book).sum(axis=2).argmin(axis=1))
            left = left - book[codes[-1]]
        index = {str(item): row for item, row in enumerate(np.column_stack(codes).tolist())}
        (self.folder / f"{name}.json").write_text(json.dumps(index))
        named = {f"codebook_{level}": book.astype(np.float32) for level, book in enumerate(books)}
        np.savez(self.folder / f"{name}.npz", **named)
        return measure_sids(
            self.spark, sids=str(self.folder / f"{name}.json"), codebooks=str(self.folder / f"{name}.npz"),
            items=self.items(name, self.x), events=str(self.folder / "events.parquet"),
            out=str(self.folder / name), watcher=SILENT,
        )  # fmt: skip

    def books(self, alive: tuple[int, ...]) -> list[np.ndarray]:
        """Codebooks of 32 codes of which the first so many are items, or what is left of them; all others are far."""
        left, books, rng = self.x, [], np.random.default_rng(alive)
        for count in alive:
            book = 6 + 3 * rng.normal(size=(SHAPE["codes"], DIM))
            book[:count] = left[rng.choice(ITEMS, count, replace=False)]
            if count == 1:
                book[0] = left.mean(axis=0)
            books.append(book)
            left = left - book[np.square(left[:, None] - book).sum(axis=2).argmin(axis=1)]
        return books


def healthy(gallery: Gallery) -> RunResult:
    """The catalogue as it is."""
    return gallery.sound("healthy", gallery.x)


def dead(gallery: Gallery) -> RunResult:
    """A system that never moved most of its codewords to where items are."""
    return gallery.elsewhere("dead", gallery.books((8, 24, 24)))


def collapsed(gallery: Gallery) -> RunResult:
    """One code of the second level takes all items."""
    return gallery.elsewhere("collapsed", gallery.books((24, 1, 24)))


def crowded(gallery: Gallery) -> RunResult:
    """Ten tight kinds of items, and 32 codes to tell them apart."""
    kinds = 1.5 * np.random.default_rng(1).normal(size=(10, DIM))
    x = kinds[gallery.group % 10] + 0.1 * np.random.default_rng(2).normal(size=(ITEMS, DIM))
    return gallery.run("crowded", x, tokenizer="rq_kmeans")


def style(gallery: Gallery) -> RunResult:
    """Four coordinates that no user cares for have much of the variance, and codes are few."""
    taste = np.random.default_rng(3).normal(size=(GROUPS, DIM - 4))[gallery.group]
    loud = 2.5 * np.random.default_rng(4).normal(size=(ITEMS, 4))
    x = np.column_stack([taste, loud])
    learned = gallery.run("learned", x, codes=8, settings={"train.drq.fidelity_slack": 0.1})
    auc, error = (three_digits(learned.metric(name)) for name in ("auc_sum_popularity", "relative_mse"))
    gallery.last = f"With a slack of 0.1 its AUC is {auc} here, at a relative error of {error}."
    return gallery.run("style", x, tokenizer="rq_kmeans", codes=8)


def copies(gallery: Gallery) -> RunResult:
    """Every fourth item is an exact copy of another one."""
    x = gallery.x.copy()
    x[-ITEMS // 4 :] = x[: ITEMS // 4]
    return gallery.sound("copies", x)


def new_model(gallery: Gallery) -> RunResult:
    """The night after a new embedding model, with the guard taken off."""
    turned = gallery.x @ np.linalg.qr(np.random.default_rng(5).normal(size=(DIM, DIM)))[0]
    night = {"out": "nights", "night": True, "run_date": date(2026, 1, 2)}
    gallery.sound("monday", gallery.x, out="nights", run_date=date(2026, 1, 1))
    gallery.sound("monday", gallery.x, out="aligned", run_date=date(2026, 1, 1))
    aligned = gallery.sound("tuesday", turned, **night | {"out": "aligned", "retrain": True}).metric("churn")
    gallery.last = f"With it the churn is {three_digits(aligned)}. A plain night is refused:"
    try:
        gallery.sound("tuesday", turned, **night)
    except InputRefused as error:
        gallery.last += f"\n\n```text\n{error}\n```"
    return gallery.sound("tuesday", turned, **night, settings={"nightly.max_changed": 1.0})


CASES = (
    Case(
        "healthy", "Healthy",
        "The catalogue as it is, by residual k-means with prices that even out the use, and a beam of four. The "
        "line of use lies near 1 over its whole length: all codes are used, and none much more than the others. "
        "Blue is by items, red by exposure.",
        "", "Level 1: codes sorted by use", tuple(FIGURES)[:10], healthy,
    ),
    Case(
        "dead", "Dead codes",
        "SIDs of another system, most of whose codewords of the first level never were where items are. The line "
        "drops to the foot far before the right end, and what is left of it is uneven.",
        "A code that nobody uses costs a row of a generator's vocabulary and tells nothing. Restart dead codes "
        "while training, or take fewer. Here `tokenizer.balance` evens out the use; the default of `drq` is 0.55.",
        "Level 1: codes sorted by use",
        ("dead codes, level 1", "perplexity, level 1", "effective capacity, level 1", "relative error"), dead,
    ),
    Case(
        "collapsed", "A collapsed level",
        "Another system again: one code of the second level takes all items. A level that adds no entropy to the "
        "codes before it is a token that a generator writes for nothing. Bars are what each level adds, of the most "
        "that it could.",
        "Begin at k-means, restart the codes that nobody uses, or leave the level out.",
        "Conditional entropy per level",
        ("entropy that level 2 adds, nats", "effective capacity, level 3", "relative error", "duplicate rate"),
        collapsed,
    ),
    Case(
        "crowded", "Codes too close to each other",
        "Ten kinds of items, each of them tight, and 32 codes on each level. All codes are used, and still they do "
        "not count: those inside one kind lie so close that a little noise turns one into the other.",
        "Grey is what uneven use takes, orange what closeness takes, blue what is left. Where orange is the longer "
        "one, take fewer codes on that level, or one level less. More balance would not help.",
        "Effective share of the codes by items",
        ("perplexity, level 1", "effective capacity, level 1", "effective capacity, level 3", "relative error"),
        crowded,
    ),
    Case(
        "style", "Behaviour given away for error",
        "Four coordinates have much of the variance, and no user cares for them. A tokenizer with 8 codes a level "
        "that looks at the error alone spends them there: its SIDs know less of behaviour than the embeddings, which "
        "know less than they could. Dots are blue against any item, orange against items as popular.",
        "Judge by the AUC beside the error. `drq` with `--events` learns which directions matter; "
        "`train.drq.fidelity_slack` says how much error that may cost.",
        "AUC:",
        ("relative error", "AUC of behaviour, embeddings", "AUC of behaviour, SIDs"), style, False,
    ),
    Case(
        "copies", "Many exact copies",
        "A fourth of the items has the same embedding as another one. The surplus of items without a SID of their "
        "own is nearly all grey: no tokenizer can tell equal embeddings apart. Orange is what the tokenizer adds.",
        "More codes would not help. Merge the copies upstream, or let the suffix tell them apart; "
        "`collisions.duplicates` says what `collisions.policy=spread` does with them.",
        "Collisions:",
        ("duplicate rate", "of which exact copies"), copies,
    ),
    Case(
        "new_model", "A new embedding model",
        "The night after the embedding model was trained anew: the same items, turned in space. The tokenizer of "
        "yesterday gives every item another SID, and all that readers have learned of SIDs is void. Orange is what "
        "really moved, grey what is a new name for the same codes.",
        "`drq nightly --retrain` aligns the new embeddings with the old ones first ([how](retraining.md)).",
        "Churn per level",
        ("churn", "relative error", "code drift, level 1, bits"), new_model, False,
    ),
)  # fmt: skip


HEAD = """# What a sick one looks like

Charts of reports of made catalogues, each with one fault: {items:,} items in {groups} groups of parts of parts, and
SIDs of three codes of {codes}. Figures are beside those of the healthy run. What each one is stands in
[figures.md](figures.md); how to go through a report is told by
[a notebook](../notebooks/03_reading_the_report.ipynb). `python bench/gallery.py docs` makes this page.
"""


def main() -> None:
    """Make the runs that are asked for, and write the page of these and of earlier ones."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="docs")
    parser.add_argument("--only", nargs="*", help="cases to make anew; none writes the page alone")
    arguments = parser.parse_args()
    names = [case.name for case in CASES] if arguments.only is None else arguments.only
    pictures = arguments.folder / "gallery"
    pictures.mkdir(exist_ok=True)
    known = pictures / "measured.json"
    measured = json.loads(known.read_text(encoding="utf-8")) if known.exists() else {}
    with TemporaryDirectory() as scratch:
        gallery = Gallery(Path(scratch)) if names else None
        for case in CASES:
            if gallery is not None and case.name in names:
                gallery.last = ""
                done = case.made(gallery)
                (pictures / f"{case.name}.svg").write_text(picture(done.report().html, case.chart), encoding="utf-8")
                measured[case.name] = told(case, done, gallery)
                known.write_text(json.dumps(measured, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
                print(case.name, flush=True)
    parts = [HEAD.format(items=ITEMS, groups=GROUPS, codes=SHAPE["codes"])]
    parts += [
        section(case, measured[case.name], measured["healthy"]["figures"]) for case in CASES if case.name in measured
    ]
    (arguments.folder / "gallery.md").write_text("\n".join(parts), encoding="utf-8")


def told(case: Case, done: RunResult, gallery: Gallery) -> dict[str, Any]:
    """What the page says of a run: its figures in three digits, the label of its chart, its first advice."""
    said = advice(done.outcome.figures, done.outcome.codebook_sizes, ETA)
    return {
        "figures": {name: value(done, name) for name in FIGURES},
        "label": unescape(label_of(done.report().html, case.chart)),
        "advice": f"“{said[0].rule.value}”. {said[0].remedy}" if said else None,
        "last": gallery.last,
    }


def section(case: Case, found: dict[str, Any], sound: dict[str, str]) -> str:
    """One illness: words, picture, figures, advice."""
    lines = [f"## {case.title}", "", case.before, "", f"![{found['label']}](gallery/{case.name}.svg)", ""]
    if case.name == "healthy":
        lines += ["| figure | value |", "|---|---|"]
        lines += [f"| {name} | {sound[name]} |" for name in case.figures]
    else:
        lines += ["| figure | healthy | here |", "|---|---|---|"]
        lines += [f"| {name} | {sound[name]} | {found['figures'][name]} |" for name in case.figures]
    if case.advised:
        lines += ["", f"The report leads with {found['advice']}" if found["advice"] else "The report advises nothing."]
    lines += ["", case.after] if case.after else []
    lines += ["", found["last"]] if found["last"] else []
    return "\n".join([*lines, ""])


def value(done: RunResult, name: str) -> str:
    """A figure in three digits; a dash where the run has none."""
    metric, level, eta = FIGURES[name]
    found = Metrics(done.outcome.figures).value(Metric(metric), level, eta=eta)
    return "–" if found is None else three_digits(found)


def label_of(html: str, begins: str) -> str:
    """The label of the chart whose label begins so, as it stands in the page."""
    found = re.search(rf'aria-label="({re.escape(begins)}[^"]*)"', html)
    if found is None:
        raise SystemExit(f"the report has no chart {begins!r}")
    return found[1]


def picture(html: str, begins: str) -> str:
    """A chart of a report as a file of its own, in the colours of the page by day and by night."""
    label = label_of(html, begins)
    svg = html[html.rindex("<svg", 0, html.index(f'aria-label="{label}"')) :]
    svg = svg[: svg.index("</svg>") + len("</svg>")]
    opening = svg[: svg.index(">") + 1]
    width, height = (float(side) for side in re.search(r'viewBox="0 0 (\S+) ([^"]+)"', opening).groups())
    wide, high = width + 2 * ROOM, height + 2 * ROOM
    day = re.search(r":root \{(.*?)\}", html, re.DOTALL)[1]
    night = re.search(r"prefers-color-scheme: dark\) \{\s*:root \{(.*?)\}", html, re.DOTALL)[1]
    used = set(re.findall(r"var\((--[\w-]+)\)", svg)) | {"--paper", "--ink"}

    def colours(block: str) -> str:
        return "".join(f"{name}:{shade};" for name, shade in re.findall(r"(--[\w-]+): (#\w+);", block) if name in used)

    style = (
        f"svg{{{colours(day)}font-family:system-ui,sans-serif}}text{{fill:var(--ink)}}"
        f"@media(prefers-color-scheme:dark){{svg{{{colours(night)}}}}}"
    )
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{1.5 * wide:g}" height="{1.5 * high:g}" '
        f'viewBox="{-ROOM} {-ROOM} {wide:g} {high:g}" role="img" aria-label="{label}">'
    )
    ground = f'<rect x="{-ROOM}" y="{-ROOM}" width="100%" height="100%" fill="var(--paper)"/>'
    return f"{head}<style>{style}</style>{ground}{svg[len(opening) :]}\n"


if __name__ == "__main__":
    main()
