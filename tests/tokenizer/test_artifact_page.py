"""docs/artifact-format.md is enough to read a tokenizer: a reader that has nothing of the package, and its example.

The files are read by hand here, SIDs are made by `drq_spark.reference`, which imports nothing of drq_spark.
"""

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

from drq_spark.reference import Artifact, SidPath
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


@pytest.mark.parametrize("tokenizer", FORMS)
def test_an_independent_reader_gets_the_same_sids(tokenizer, tmp_path):
    folder = Path(save_tokenizer(tokenizer, str(tmp_path)))
    header, tensors = read_artifact(folder)
    assert header["tokenizer_id"] == folder.name == tokenizer_id(tokenizer)
    reference = Artifact.read(folder)
    assert reference.header == header
    assert {name: value.tolist() for name, value in tensors.items()} == {
        name: value.tolist() for name, value in reference.tensors.items()
    }
    x = rows(60, tokenizer.dim)
    found = load_tokenizer(str(folder)).encode(x)
    for i, row in enumerate(x):
        here = reference.encode(row)
        assert tuple(found.codes[i].tolist()) == here.codes
        assert found.margin[i].tolist() == pytest.approx(here.margins, rel=1e-5, abs=1e-7)
        assert tokenizer.keys(found.codes[i : i + 1]).tolist() == [reference.key(here.codes)]
        assert found.residual_square[i] == pytest.approx(here.left)
        decoded = reference.decode(here.codes)
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


def costs_on_the_way(reference: Artifact, x: np.ndarray, codes: tuple[int, ...]) -> list[list[float]]:
    """What every code costs at each level of a greedy encoding."""
    path, costs = SidPath((), 0.0, reference.latent(reference.prepared(x))), []
    for level, code in enumerate(codes):
        longer = reference.extensions(path, level)
        costs.append([one.cost for one in longer])
        path = longer[code]
    return costs


def test_the_worked_example_of_the_page(tmp_path):
    page = DOCS.read_text(encoding="utf-8")
    folder = Path(save_tokenizer(example(), str(tmp_path)))
    weights = (folder / "weights.safetensors").read_bytes()
    assert f"```json\n{(folder / 'tokenizer.json').read_text()}```" in page
    assert f"```text\n{json.dumps(artifact._header(example()), sort_keys=True, separators=(',', ':'))}\n```" in page
    assert hashlib.sha256(weights).hexdigest() in page
    assert f"{len(weights)} bytes, of which 8 + {struct.unpack('<Q', weights[:8])[0]} are the header" in page
    reference = Artifact.read(folder)
    lines = [line.strip("| ").split(" | ") for line in page[page.index("| x | costs") :].splitlines()[2:6]]
    assert len(lines) == 4
    for x, first, second, codes, key, tokens, margins, left, decoded in lines:
        here = reference.encode(np.array(numbers(x)))
        assert costs_on_the_way(reference, np.array(numbers(x)), here.codes) == [numbers(first), numbers(second)]
        assert list(here.codes) == numbers(codes)
        assert reference.key(here.codes) == int(key)
        assert tokens == f"`<a_{here.codes[0]}><b_{here.codes[1]}>`"
        assert here.margins == pytest.approx(numbers(margins), abs=1e-6)
        assert np.sqrt(here.left[-1]) == pytest.approx(float(left), abs=1e-6)
        assert reference.decode(here.codes).tolist() == numbers(decoded)
        found = example().encode(np.array([numbers(x)]))
        assert tuple(found.codes[0].tolist()) == here.codes
        assert tuple(found.margin[0].tolist()) == here.margins


def test_the_page_names_every_key_and_tensor():
    page = DOCS.read_text(encoding="utf-8")
    for key in (*artifact._header(full()), "tokenizer_id"):
        assert f"`{key}`" in page, key
    for name in (*artifact._tensors(full()), *artifact._tensors(behaving())):
        group, part = name.rsplit(".", 1)
        assert f"`{part}`" in page or f"`{group}.{{l}}`" in page, name
