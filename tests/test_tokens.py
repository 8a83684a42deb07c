"""SIDs as tokens: what is written can be read back, whatever the template."""

from __future__ import annotations

from string import ascii_lowercase

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drq_spark.tokens import NO_SUFFIX, SidTokens

SPELLINGS = [
    SidTokens(),
    SidTokens("<s_a_{}>", "<|sid_begin|>", "<|sid_end|>", "<suffix_{}>"),
    SidTokens("<item_L0_C{}>", "<|item_start|>", "<|item_end|>"),
    SidTokens("[{}.a]", suffix="{}"),
    SidTokens("a{}", end=";"),
]


@st.composite
def sids(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Codes [n, L] and suffixes [n]."""
    levels = draw(st.integers(1, 5))
    row = st.tuples(*[st.integers(0, 2**31 - 1) | st.integers(0, 12)] * levels)
    rows = draw(st.lists(row, max_size=8))
    suffixes = draw(st.lists(st.integers(NO_SUFFIX, 3), min_size=len(rows), max_size=len(rows)))
    return np.array(rows, np.int32).reshape(-1, levels), np.array(suffixes, np.int64)


@pytest.mark.parametrize("spelling", SPELLINGS)
@settings(deadline=None)
@given(sids())
def test_what_is_written_is_read_back(spelling, case):
    codes, suffixes = case
    levels = codes.shape[1]
    for written in (spelling.texts(codes, suffixes), spelling.rows(codes, suffixes)):
        read, last = spelling.parse(written, levels)
        assert (read.dtype, last.dtype) == (np.int32, np.int64)
        assert (read.tolist(), last.tolist()) == (codes.tolist(), suffixes.tolist())
    assert spelling.parse(spelling.texts(codes), levels)[1].tolist() == [NO_SUFFIX] * len(codes)


@settings(deadline=None)
@given(sids())
def test_the_default_is_a_letter_and_a_code_per_level(case):
    codes, _ = case
    slow = ["".join(f"<{ascii_lowercase[level]}_{code}>" for level, code in enumerate(row)) for row in codes.tolist()]
    assert SidTokens().texts(codes) == slow


def test_spellings_of_others():
    codes, suffixes = np.array([[340, 6566, 5603], [0, 1, 0]]), np.array([NO_SUFFIX, 2])
    assert SidTokens("<s_a_{}>", "<|sid_begin|>", "<|sid_end|>").texts(codes[:1]) == [
        "<|sid_begin|><s_a_340><s_b_6566><s_c_5603><|sid_end|>"
    ]
    assert SidTokens("<item_L0_C{}>").texts(codes[:1]) == ["<item_L0_C340><item_L1_C6566><item_L2_C5603>"]
    assert SidTokens("<L1_{}>").rows(codes[1:]) == [["<L1_0>", "<L2_1>", "<L3_0>"]]
    assert SidTokens().rows(codes, suffixes)[1] == ["<a_0>", "<b_1>", "<c_0>", "<d_2>"]
    assert SidTokens(suffix="<n_{}>").texts(codes, suffixes)[1] == "<a_0><b_1><c_0><n_2>"


def test_the_vocabulary_has_every_token_once():
    spelling = SidTokens(begin="<(>", end="<)>")
    assert spelling.vocabulary([2, 3], suffixes=2) == [
        "<(>", "<)>", "<a_0>", "<a_1>", "<b_0>", "<b_1>", "<b_2>", "<c_0>", "<c_1>"
    ]  # fmt: skip
    assert SidTokens().vocabulary([2]) == ["<a_0>", "<a_1>"]


@pytest.mark.parametrize(
    "template", ["", "<a_>", "<{}>", "<a_{}_{}>", "<ab_{}>", "<a_a_{}>", "<v1_a_{}>", "<0{}>", "0_{}"]
)
def test_refuses_templates_that_cannot_be_read_back(template):
    with pytest.raises(ValueError, match="token template"):
        SidTokens(template)


def test_refuses_a_suffix_without_a_place_for_its_number():
    with pytest.raises(ValueError, match="suffix token '<x>' must have"):
        SidTokens(suffix="<x>")


@pytest.mark.parametrize(
    "text",
    ["", "<a_1>", "<b_1><a_2>", "<a_1><a_2>", "<a_01><b_2>", "<a_-1><b_2>", "<a_1> <b_2>", "<a_1><b_2><c_3><d_4>",
     "x<a_1><b_2>", "<a_1><b_2>\n", "<A_1><b_2>", "<a_1><b_>", "<a_1><b_2147483648>", "<a_1><b_99999999999999999999>",
     "<a_٣><b_2>"],
)  # fmt: skip
def test_refuses_what_is_not_a_token_per_level(text):
    with pytest.raises(ValueError, match="not a SID"):
        SidTokens().parse(["<a_1><b_2>", text], 2)


def test_begin_and_end_are_part_of_a_sid():
    with pytest.raises(ValueError, match="not a SID"):
        SidTokens(begin="<(>").parse(["<a_1>"], 1)


def test_refuses_codes_that_no_token_can_hold():
    with pytest.raises(ValueError, match="count from 0, not -1"):
        SidTokens().texts(np.array([[0, -1]]))
    with pytest.raises(ValueError, match="count from 0, not -2"):
        SidTokens().texts(np.array([[0, 1]]), np.array([-2]))
    with pytest.raises(ValueError, match=r"codes must be \[n, L\], not \(3,\)"):
        SidTokens().texts(np.array([0, 1, 2]))


def test_letters_end_at_z():
    codes = np.zeros((1, 26), np.int32)
    assert SidTokens().parse(SidTokens().texts(codes), 26)[0].tolist() == codes.tolist()
    with pytest.raises(ValueError, match="26 levels"):
        SidTokens().texts(codes, np.array([0]))
    assert SidTokens("<0_{}>").rows(codes, np.array([7]))[0][-1] == "<26_7>"
