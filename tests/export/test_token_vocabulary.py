"""Tokens for a language model, and the rows that their embeddings begin at."""

from __future__ import annotations

import json

import numpy as np
import pytest
from export.small_catalogue import SIZES, output_in, source_of, tokenizer_of

from drq_spark.export.export_source import Choices
from drq_spark.export.token_vocabulary import write_vocabulary
from drq_spark.tokens import SidTokens

MARKS = SidTokens(begin="<|sid_begin|>", end="<|sid_end|>")


@pytest.mark.parametrize("suffix", ["none", "all"])
def test_a_row_a_token_in_the_same_order(spark, tmp_path, suffix):
    tokenizer = tokenizer_of()
    source = source_of(spark, Choices(suffix, tokens=MARKS), tokenizer=tokenizer)
    write_vocabulary(source, output_in(tmp_path))
    tokens = json.loads((tmp_path / "whole" / "tokens.json").read_text(encoding="utf-8"))
    rows = np.load(tmp_path / "whole" / "rows.npy", allow_pickle=False)
    codes = [f"<{letter}_{code}>" for letter, size in zip("abc", SIZES, strict=True) for code in range(size)]
    last = [f"<d_{number}>" for number in range(4)] if suffix == "all" else []
    names = [token["content"] for token in tokens]
    assert names == ["<|sid_begin|>", "<|sid_end|>", *codes, *last]
    assert [token["content"] for token in tokens if token["special"]] == ["<|sid_begin|>", "<|sid_end|>"]
    assert not any(token[name] for token in tokens for name in ("single_word", "lstrip", "rstrip", "normalized"))
    assert rows.dtype == np.float32
    place = dict(zip(names, rows, strict=True))
    np.testing.assert_array_equal(place["<b_1>"], tokenizer.codebooks[1][1])
    np.testing.assert_array_equal(place["<c_299>"], tokenizer.codebooks[2][299])
    mean = np.concatenate(tokenizer.codebooks).astype(np.float64).mean(axis=0)
    for token in ("<|sid_begin|>", *last):
        np.testing.assert_allclose(place[token], mean, atol=1e-6)


def test_tokenizers_reads_the_tokens(spark, tmp_path):
    library = pytest.importorskip("tokenizers")
    write_vocabulary(source_of(spark, Choices(tokens=MARKS)), output_in(tmp_path))
    assert not (tmp_path / "whole" / "rows.npy").exists()  # SIDs of another system
    fields = json.loads((tmp_path / "whole" / "tokens.json").read_text(encoding="utf-8"))
    model = library.Tokenizer(library.models.WordLevel({"<unk>": 0, "next": 1}, "<unk>"))
    assert model.add_tokens([library.AddedToken(**field) for field in fields]) == sum(SIZES) + 2
    text = "<|sid_begin|><a_4><b_1><c_299><|sid_end|>"
    assert model.encode(f"next{text}").tokens == ["next", "<|sid_begin|>", "<a_4>", "<b_1>", "<c_299>", "<|sid_end|>"]
