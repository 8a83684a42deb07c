"""docs/artifact-format.md is enough to read a tokenizer: a reader that has nothing of drq_spark, and its example."""

from __future__ import annotations

import hashlib
import json
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizer.samples import FORMS, behaving, full, rows

from drq_spark.tokenizer import Tokenizer, artifact
from drq_spark.tokenizer.artifact import load_tokenizer, save_tokenizer, tokenizer_id

DOCS = Path(__file__).parents[2] / "docs" / "artifact-format.md"


def read_artifact(folder: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    text, data = (folder / "tokenizer.json").read_text(encoding="utf-8"), (folder / "weights.safetensors").read_bytes()
    header = json.loads(text)
    kept = re.sub(r'\n  "tokenizer_id": "[0-9a-f]+",', "", text)
    canonical = re.sub(r'("(?:[^"\\]|\\.)*")|\s+', lambda found: found[1] or "", kept)
    whole = canonical.encode("ascii") + hashlib.sha256(data).digest()
    assert hashlib.sha256(whole).hexdigest()[:16] == header["tokenizer_id"]
    (size,) = struct.unpack("<Q", data[:8])
    tensors = {}
    for name, entry in json.loads(data[8 : 8 + size]).items():
        begin, end = entry["data_offsets"]
        assert entry["dtype"] == "F32"
        raw = np.frombuffer(data[8 + size + begin : 8 + size + end], "<f4")
        tensors[name] = raw.reshape(entry["shape"]).astype(np.float64)
    return header, tensors


def mlp(prefix: str, x: np.ndarray, tensors: dict[str, np.ndarray]) -> np.ndarray:
    part = {name.rsplit(".", 1)[1]: v for name, v in tensors.items() if name.rsplit(".", 1)[0] == prefix}
    u = x - part["shift"]
    v = part["hidden"] @ (part["scale"][0] * u) + part["hidden_bias"]
    return part["linear"] @ u + part["out"] @ (v / (1 + np.exp(-v))) + part["bias"]


def through(side: str, x: np.ndarray, header: dict[str, Any], tensors: dict[str, np.ndarray]) -> np.ndarray:
    form = header[side]
    if form == "residual_mlp":
        return mlp(side, x, tensors)
    if form == "behaviour":
        u = mlp("encoder.network", x, tensors)
        direction = u / np.sqrt((u * u).sum()) if u.any() else u
        return np.append(
            x - tensors["encoder.shift"], tensors["encoder.scale"][0] * (direction - tensors["encoder.centre"])
        )
    if form == "content":
        return x[: len(tensors["decoder.shift"])] + tensors["decoder.shift"]
    assert form == "identity"
    return x


def encode_row(x: np.ndarray, header: dict[str, Any], tensors: dict[str, np.ndarray]) -> dict[str, Any]:
    wide = np.float32(x).astype(np.float64)
    if header["normalize"] == "l2":
        wide = np.float32(wide / np.sqrt((wide * wide).sum())).astype(np.float64)
    z = np.float32(through("encoder", wide, header, tensors)).astype(np.float64)
    paths: list[dict[str, Any]] = [{"codes": [], "r": z, "paid": 0.0, "margins": [], "costs": []}]
    for level, size in enumerate(header["codebook_sizes"]):
        price = tensors[f"price.{level}"] if header["has_prices"] else np.zeros(size)
        w = tensors[f"weight.{level}"] if header["has_weights"] else np.ones(len(z))
        grown = []
        for path in paths:
            for code, codeword in enumerate(tensors[f"codebook.{level}"]):
                gap = path["r"] - codeword
                square = float((w * gap * (w * gap)).sum())
                grown.append((square + price[code] + path["paid"], [*path["codes"], code], square, gap, path))
        costs = [cost for cost, *_ in grown]
        grown.sort(key=lambda one: one[:2])
        keep = 1 if level == header["levels"] - 1 else header["beam"]
        rival = grown[keep] if keep < len(grown) else None
        paths = []
        for cost, codes, _, gap, path in grown[:keep]:
            margin = 1.0 if rival is None else (rival[0] - cost) / rival[2] if rival[2] > 0 else 0.0
            paths.append({"codes": codes, "r": gap, "paid": path["paid"] + price[codes[-1]],
                          "margins": [*path["margins"], margin], "costs": [*path["costs"], costs]})  # fmt: skip
    best, key = paths[0], 0
    for size, code in zip(header["codebook_sizes"], best["codes"], strict=True):
        key = key * size + code
    last = tensors[f"weight.{header['levels'] - 1}"] if header["has_weights"] else np.ones(len(z))
    return {**best, "key": key, "left": float(np.sqrt(np.square(last * best["r"]).sum()))}


def decode_codes(codes: list[int], header: dict[str, Any], tensors: dict[str, np.ndarray]) -> np.ndarray:
    name = "table" if header["has_tables"] else "codebook"
    return through(
        "decoder", sum(tensors[f"{name}.{level}"][code] for level, code in enumerate(codes)), header, tensors
    )


@pytest.mark.parametrize("tokenizer", FORMS)
def test_an_independent_reader_gets_the_same_sids(tokenizer, tmp_path):
    folder = Path(save_tokenizer(tokenizer, str(tmp_path)))
    header, tensors = read_artifact(folder)
    assert header["tokenizer_id"] == folder.name == tokenizer_id(tokenizer)
    x = rows(60, tokenizer.dim)
    found = load_tokenizer(str(folder)).encode(x)
    for i, row in enumerate(x):
        here = encode_row(row, header, tensors)
        assert found.codes[i].tolist() == here["codes"]
        assert found.margin[i].tolist() == pytest.approx(here["margins"], rel=1e-5, abs=1e-7)
        assert tokenizer.keys(found.codes[i : i + 1]).tolist() == [here["key"]]
        assert np.sqrt(found.residual_square[i, -1]) == pytest.approx(here["left"])
        decoded = decode_codes(here["codes"], header, tensors)
        np.testing.assert_allclose(tokenizer.decode(found.codes[i : i + 1])[0], decoded, rtol=1e-9, atol=1e-12)


# ---- the page itself ----


def example() -> Tokenizer:
    """The tokenizer of the worked example on the page."""
    books = ([[0, 0], [4, 0]], [[-1, 0], [1, 0], [0, 1]])
    return Tokenizer(
        kind="example",
        dim=2,
        normalize="none",
        codebooks=tuple(np.array(book, np.float32) for book in books),
        latent_rms=(1.5, 0.5),
        prices=(np.zeros(2, np.float32), np.array([0, 0, 0.5], np.float32)),
        training={"seed": 0},
    )


def numbers(cell: str) -> list[float]:
    return [float(number) for number in cell.split(",")]


def test_the_worked_example_of_the_page(tmp_path):
    page = DOCS.read_text(encoding="utf-8")
    folder = Path(save_tokenizer(example(), str(tmp_path)))
    weights = (folder / "weights.safetensors").read_bytes()
    assert f"```json\n{(folder / 'tokenizer.json').read_text()}```" in page
    assert f"```text\n{json.dumps(artifact._header(example()), sort_keys=True, separators=(',', ':'))}\n```" in page
    assert hashlib.sha256(weights).hexdigest() in page
    assert f"{len(weights)} bytes, of which 8 + {struct.unpack('<Q', weights[:8])[0]} are the header" in page
    header, tensors = read_artifact(folder)
    lines = [line.strip("| ").split(" | ") for line in page[page.index("| x | costs") :].splitlines()[2:6]]
    assert len(lines) == 4
    for x, first, second, codes, key, tokens, margins, left, decoded in lines:
        here = encode_row(np.array(numbers(x)), header, tensors)
        assert here["costs"] == [numbers(first), numbers(second)]
        assert here["codes"] == numbers(codes)
        assert here["key"] == int(key)
        assert tokens == f"`<a_{here['codes'][0]}><b_{here['codes'][1]}>`"
        assert here["margins"] == pytest.approx(numbers(margins), abs=1e-6)
        assert here["left"] == pytest.approx(float(left), abs=1e-6)
        assert decode_codes(here["codes"], header, tensors).tolist() == numbers(decoded)
        found = example().encode(np.array([numbers(x)]))
        assert found.codes.tolist() == [here["codes"]]
        assert found.margin[0].tolist() == np.array(here["margins"], np.float32).tolist()


def test_the_page_names_every_key_and_tensor():
    page = DOCS.read_text(encoding="utf-8")
    for key in (*artifact._header(full()), "tokenizer_id"):
        assert f"`{key}`" in page, key
    for name in (*artifact._tensors(full()), *artifact._tensors(behaving())):
        group, part = name.rsplit(".", 1)
        assert f"`{part}`" in page or f"`{group}.{{l}}`" in page, name
