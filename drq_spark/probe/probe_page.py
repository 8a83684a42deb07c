"""Downstream figures of tokenizers as one HTML page: side by side, and which figures of SIDs go with them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from drq_spark.compare.comparison_page import rows, winners
from drq_spark.compare.standing import Better, Column, Comparison, Result, compared
from drq_spark.page.environment import page
from drq_spark.page.numbers import three_decimals
from drq_spark.probe.downstream_figures import SEGMENTS
from drq_spark.probe.downstream_models import MODELS
from drq_spark.probe.what_predicts import Key, Point, Prediction, predictions

_LOW = ("log_loss", "bits")
_NOTHING = "–"


def render(points: Sequence[Point], source: str) -> str:
    """The page; `source` names the catalogue. The same points give the same text."""
    comparison = downstream(points)
    found = predictions(points)
    return page(
        "probe",
        "probe",
        comparison=comparison,
        source=source,
        rows=rows(comparison),
        winners=winners(comparison),
        bases=bases(points),
        predicted=predicted(found),
        judged=list(dict.fromkeys(_title(one.key) for one in found)),
        best=best_predictors(found),
        points=len(points),
        models={name: _sentence(MODELS[name].words) for name in _models(points)},
        explored=any(key[1] == "clicks" for point in points for key in point.downstream),
    )


def _models(points: Sequence[Point]) -> list[str]:
    return list(dict.fromkeys(key[0] for point in points for key in point.downstream))


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}."


def downstream(points: Sequence[Point], segments: Sequence[str] = SEGMENTS) -> Comparison:
    """Tokenizers side by side, by the figures of the models that use their SIDs, for some segments of items."""
    keys = [key for key in _keys(points, uses_sids=True) if key[2] in segments]
    columns = [Column(":".join(key), _title(key), _better(key)) for key in keys]
    results = [
        Result(
            point.label,
            point.seed,
            {":".join(key): (point.downstream[key].value,) for key in keys if key in point.downstream},
        )
        for point in points
    ]
    return compared(results, columns)


def _keys(points: Sequence[Point], *, uses_sids: bool) -> list[Key]:
    there = {key for point in points for key in point.downstream if MODELS[key[0]].uses_sids == uses_sids}
    order = [*MODELS]
    return sorted(there, key=lambda key: (SEGMENTS.index(key[2]), order.index(key[0]), key[1]))


def _better(key: Key) -> Better:
    return "low" if key[1].startswith(_LOW) else "high"


def _title(key: Key) -> str:
    model, figure, segment = key
    name, _, number = figure.rpartition("_")
    words = figure.replace("_", " ")
    if number.isdigit():
        words = f"bits of code {number}" if name == "bits" else f"{name}@{number}"
    return f"{model}: {words}" + ("" if segment == SEGMENTS[0] else f", {segment} items")


def bases(points: Sequence[Point], segments: Sequence[str] = SEGMENTS) -> list[tuple[str, str]]:
    """What models that use no SIDs reach: title, and the mean over the seeds with the largest error by users."""
    found = []
    for key in _keys(points, uses_sids=False):
        if key[2] not in segments:
            continue
        here = [point.downstream[key] for point in points if key in point.downstream]
        errors = [one.standard_error for one in here if one.standard_error is not None]
        text = three_decimals(float(np.mean([one.value for one in here])))
        found.append((_title(key), f"{text} ± {three_decimals(max(errors))}" if errors else text))
    return found


def predicted(found: Sequence[Prediction]) -> list[tuple[str, list[str]]]:
    """The correlations as rows: figure of the SIDs, and per downstream figure the value with its interval."""
    keys = list(dict.fromkeys(one.key for one in found))
    by_place = {(one.column.key, one.key): one for one in found}
    columns = dict.fromkeys(one.column for one in found)
    return [
        (
            f"{column.title} {'↑' if column.better == 'high' else '↓'}",
            [_cell(by_place.get((column.key, key))) for key in keys],
        )
        for column in columns
    ]


def _cell(one: Prediction | None) -> str:
    if one is None or not np.isfinite(one.found.value):
        return _NOTHING
    value, low, high = (f"{number:+.2f}" for number in one.found)
    return f"{value} ({low} to {high})" if np.isfinite(one.found.low) else value


def best_predictors(found: Sequence[Prediction]) -> list[str]:
    """A sentence for every downstream figure: what goes with it and has an interval above 0, the strongest first."""
    sentences = []
    for key in dict.fromkeys(one.key for one in found):
        if not any(np.isfinite(one.found.low) for one in found if one.key == key):
            sentences.append(f"{_title(key)}: fewer than four tokenizers, which tell nothing of others.")
            continue
        sure = [one for one in found if one.key == key and one.found.low > 0]
        sure.sort(key=lambda one: -one.found.value)
        told = ", ".join(f"{one.column.title} ({one.found.value:+.2f})" for one in sure[:3])
        sentences.append(f"{_title(key)}: {told or 'no figure goes with it beyond chance'}.")
    return sentences
