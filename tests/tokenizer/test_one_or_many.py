"""A tokenizer in a notebook: lists, one vector or many, tokens, files, and what it says of itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tokenizer.samples import full, plain, rows

from drq_spark import SidTokens, Tokenizer
from drq_spark.errors import ArtifactRefused
from drq_spark.tokenizer.artifact import tokenizer_id

TOKENIZER, X = full(), rows(5)


@pytest.mark.parametrize("tokenizer", [plain(), full()])
def test_lists_are_arrays(tokenizer):
    codes = tokenizer.codes(X)
    assert np.array_equal(tokenizer.codes(X.tolist()), codes)
    assert np.array_equal(tokenizer.encode(X.tolist()).codes, codes)
    assert np.array_equal(tokenizer.decode(codes.tolist()), tokenizer.decode(codes))
    assert np.array_equal(tokenizer.codes([[1, -2, 3, 0, 1, 1]]), tokenizer.codes(np.array([[1.0, -2, 3, 0, 1, 1]])))


def test_one_vector_is_a_row_of_many():
    many, one = TOKENIZER.encode(X), TOKENIZER.encode(X[3])
    for name in ("codes", "margin", "residual_square"):
        assert getattr(one, name).tolist() == getattr(many, name)[3].tolist()
    assert TOKENIZER.codes(X[3].tolist()).tolist() == many.codes[3].tolist()
    assert TOKENIZER.decode(one.codes).tolist() == TOKENIZER.decode(many.codes)[3].tolist()
    assert TOKENIZER.tokens(one.codes) == TOKENIZER.tokens(many.codes)[3]
    assert TOKENIZER.codes_of(TOKENIZER.tokens(one.codes)).tolist() == one.codes.tolist()


def test_no_items():
    assert TOKENIZER.codes(np.empty((0, 6))).shape == (0, 3)
    assert TOKENIZER.decode(np.empty((0, 3), np.int32)).shape == (0, 6)
    assert TOKENIZER.tokens(np.empty((0, 3), np.int32)) == []
    assert TOKENIZER.codes_of([]).shape == (0, 3)
    with pytest.raises(ValueError, match=r"rows of 6 numbers, not an array of shape \(0,\)"):
        TOKENIZER.codes([])


def test_tokens_and_back():
    codes = TOKENIZER.codes(X)
    spelling = SidTokens("<s_a_{}>", "<|sid_begin|>", "<|sid_end|>")
    for spelled in (SidTokens(), spelling):
        assert TOKENIZER.tokens(codes, spelled) == spelled.texts(codes)
        assert np.array_equal(TOKENIZER.codes_of(TOKENIZER.tokens(codes, spelled), spelled), codes)
    assert TOKENIZER.tokens([7, 4, 3]) == "<a_7><b_4><c_3>"
    for wrong in ([[8, 0, 0]], [[0, 0]], [0, 0, -1]):
        with pytest.raises(ValueError, match="codes must be"):
            TOKENIZER.tokens(wrong)
    with pytest.raises(ValueError, match=r"codes must be from 0 to K - 1 with K = \[8, 5, 4\]"):
        TOKENIZER.codes_of(["<a_8><b_0><c_0>"])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([[1.0, 2.0], [1.0]], "embeddings must be rows of one length"),
        ([["1", "2", "3", "4", "5", "6"]], "embeddings must be numbers, not of type <U1"),
        ([[None] * 6], "embeddings must be numbers, not of type object"),
    ],
)
def test_refuses_what_is_no_vector(values, message):
    with pytest.raises(ValueError, match=message):
        TOKENIZER.encode(values)


def test_refuses_codes_that_are_no_integers():
    with pytest.raises(ValueError, match="codes must be integers, not of type float64"):
        TOKENIZER.decode([[0.0, 1.0, 2.0]])


def test_files(tmp_path: Path):
    folder = TOKENIZER.save(tmp_path / "tokenizers")
    for place in (folder, f"{folder}/", tmp_path / "tokenizers", tmp_path):  # itself, its folder, the run's
        assert tokenizer_id(Tokenizer.load(place)) == tokenizer_id(TOKENIZER)
    other = replace(TOKENIZER, beam=2).save(tmp_path / "tokenizers")
    with pytest.raises(ArtifactRefused, match=r"holds 2 tokenizers, .*: name the folder of one"):
        Tokenizer.load(tmp_path)
    assert Tokenizer.load(other).beam == 2
    with pytest.raises(ArtifactRefused, match=r"nowhere cannot be read: .*tokenizer\.json"):
        Tokenizer.load(tmp_path / "nowhere")


def test_it_says_what_it_is_in_a_line():
    assert repr(plain()) == "<Tokenizer plain: 6 numbers to 3 codes of 8, 5, 4>"
    assert repr(plain(sizes=(4, 4), beam=4)) == "<Tokenizer plain: 6 numbers to 2 codes of 4, beam 4>"


def test_a_notebook_shows_its_training():
    told = {"sample": {"fit": 4500, "held_out": 500}, "held_out_relative_mse": 0.24681}
    shown = full(kind="<b>", training=told)._repr_html_()
    assert "4,500 items, 500 held out" in shown
    assert "0.247" in shown
    assert "divided by their norm" in shown
    assert "&lt;b&gt;" in shown
    assert "<b>" not in shown
    assert "held out" not in plain()._repr_html_()
