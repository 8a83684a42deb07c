"""A run whose sample is small for its catalogue is told what would help."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tokenizer.samples import full

from drq_spark.refine.hint import refinement_hint
from drq_spark.tokenizer import Tokenizer


def fitted(seen: float, unseen: float | None, rows: int = 100) -> Tokenizer:
    levels = {"fit": [{"relative_mse": 0.9}, {"relative_mse": seen}]}
    levels["held_out"] = [] if unseen is None else [{"relative_mse": 0.9}, {"relative_mse": unseen}]
    return replace(full(), training={"levels": levels, "sample": {"fit": rows}})


def test_it_says_how_much_dearer_unseen_items_are():
    told = refinement_hint(fitted(0.4, 0.5), 1000)
    assert told == (
        "unseen items leave 25% more than the 100 of the sample that were fitted, of 1,000: train.refine=4 solves the "
        "books on all of them, or raise sample.size"
    )


@pytest.mark.parametrize(
    ("tokenizer", "items"),
    [
        (fitted(0.4, 0.43), 1000),  # hardly dearer
        (fitted(0.4, None), 1000),  # nothing is known of unseen items
        (fitted(0.4, 0.5), 150),  # the sample is most of the catalogue
        (replace(fitted(0.4, 0.5), tables=None), 1000),  # an encoder that was trained with its books
    ],
)
def test_where_it_would_not_help_nothing_is_said(tokenizer, items):
    assert refinement_hint(tokenizer, items) is None
