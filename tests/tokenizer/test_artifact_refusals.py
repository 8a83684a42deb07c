"""Tokenizer files that were touched, torn or forged are refused with one message, and run no code."""

from __future__ import annotations

import io
import json
import pickle
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save as save_tensors
from tokenizer.samples import full, network, pattern, plain

from drq_spark.errors import ArtifactRefused
from drq_spark.tokenizer import artifact
from drq_spark.tokenizer.artifact import load_tokenizer, save_tokenizer, tokenizer_id


def assert_refused(folder: Path, saying: str) -> None:
    with pytest.raises(ArtifactRefused) as refusal:
        load_tokenizer(str(folder))
    message = str(refusal.value)
    assert str(folder) in message
    assert saying in message
    assert "\n" not in message
    assert refusal.value.exit_code == 3


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(save_tokenizer(full(), str(tmp_path)))


def bend(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes()))


@pytest.mark.parametrize(
    ("before", "after"),
    [(b'"dim": 6', b'"dim": 7'), (b'"l2"', b'"none"'), (b'"seed": 3', b'"seed": 4'), (b"1.5", b"1.6"),
     (b'"has_prices": true', b'"has_prices": false'), (b'"kind": "full"', b'"kind": "fill"')],
)  # fmt: skip
def test_a_changed_header_is_refused(folder, before, after):
    bend(folder / "tokenizer.json", lambda text: text.replace(before, after))
    assert_refused(folder, "was changed after it was written")


@pytest.mark.parametrize("at", [0, 8, 40, 400, -1])
def test_a_changed_byte_of_the_weights_is_refused(folder, at):
    def flip(data: bytes) -> bytes:
        changed = bytearray(data)
        changed[at] ^= 1
        return bytes(changed)

    bend(folder / "weights.safetensors", flip)
    assert_refused(folder, "was changed after it was written")


@pytest.mark.parametrize("size", [0, 7, 100, -1])
def test_truncated_weights_are_refused(folder, size):
    bend(folder / "weights.safetensors", lambda data: data[:size])
    assert_refused(folder, "was changed")


def test_the_id_must_be_there(folder):
    bend(folder / "tokenizer.json", lambda text: re.sub(rb'\n  "tokenizer_id": "[0-9a-f]+",', b"", text))
    assert_refused(folder, "was changed")


def test_the_files_of_two_tokenizers_do_not_mix(folder, tmp_path):
    other = Path(save_tokenizer(full(latent_rms=(2.5,) * 3), str(tmp_path)))
    (folder / "tokenizer.json").write_bytes((other / "tokenizer.json").read_bytes())
    load_tokenizer(str(folder))  # the same weights: this is the other tokenizer
    third = Path(save_tokenizer(plain(), str(tmp_path)))
    (folder / "tokenizer.json").write_bytes((third / "tokenizer.json").read_bytes())
    assert_refused(folder, "was changed")


@pytest.mark.parametrize("name", ["tokenizer.json", "weights.safetensors"])
def test_missing_files_are_refused(folder, name):
    (folder / name).unlink()
    assert_refused(folder, name)
    (folder / name).mkdir()
    assert_refused(folder, name)


def test_a_missing_folder_is_refused(tmp_path):
    assert_refused(tmp_path / "nothing", "cannot be read")


@pytest.mark.parametrize(
    ("text", "saying"),
    [
        (b"", "is not JSON"),
        (b"{", "is not JSON"),
        (b"\xff\xfe{}", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[1, 2]", "must hold one object"),
        (b"null", "must hold one object"),
        (b'"text"', "must hold one object"),
        (b"{}", "format version None"),
        (b'{"format_version": 3}', "reads 2: update drq_spark"),
        (b'{"format_version": 1}', "reads 2: train it again, or use the drq_spark that wrote it"),
        (b'{"format_version": "2"}', "format version '2'"),
        (b'{"format_version": 2, "latent_rms": NaN}', "is not valid"),
        (b'{"format_version": 2, "latent_rms": 1e999}', "is not valid"),
        (b'{"format_version": 2, "training": ' + b"[" * 900 + b"]" * 900 + b"}", ""),
    ],
)
def test_headers_that_are_none_are_refused(folder, text, saying):
    (folder / "tokenizer.json").write_bytes(text)
    assert_refused(folder, saying)


def forge(folder: Path, header: dict[str, Any], tensors: dict[str, np.ndarray] | bytes) -> None:
    """Write a malformed artifact under its right hash, as an attacker or another program would."""
    weights = tensors if isinstance(tensors, bytes) else save_tensors(tensors)
    (folder / "weights.safetensors").write_bytes(weights)
    identity = artifact._hash(header, weights)
    (folder / "tokenizer.json").write_text(json.dumps({**header, "tokenizer_id": identity}))


def good() -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    return artifact._header(full()), dict(artifact._tensors(full()))


def test_what_forge_writes_is_read(folder):
    forge(folder, *good())
    assert tokenizer_id(load_tokenizer(str(folder))) == tokenizer_id(full())


BAD_TENSORS = {
    "NaN in a codebook": {"codebook.1": pattern(5, 3) * np.float32("nan")},
    "infinite price": {"price.0": np.full(8, np.inf, np.float32)},
    "NaN in the encoder": {"encoder.out": np.full((3, 5), np.nan, np.float32)},
    "float64": {"codebook.0": pattern(8, 3).astype(np.float64)},
    "integers": {"table.0": np.zeros((8, 3), np.int32)},
    "float16": {"decoder.bias": np.zeros(6, np.float16)},
    "other K": {"codebook.1": pattern(6, 3)},
    "other d": {"codebook.1": pattern(5, 4)},
    "one dimension": {"codebook.0": pattern(24)},
    "three dimensions": {"codebook.0": pattern(8, 3, 1)},
    "no dimension": {"codebook.0": np.array(3, np.float32)},
    "no codes": {"codebook.0": np.zeros((0, 3), np.float32)},
    "price of other K": {"price.2": pattern(5)},
    "table of other K": {"table.2": pattern(5, 3)},
    "network for other d": {f"encoder.{part}": value for part, value in network(6, 4).tensors().items()},
    "network that does not fit": {"decoder.out": pattern(5, 5)},
    "unknown tensor": {"weight.0": pattern(3)},
}


@pytest.mark.parametrize("change", BAD_TENSORS.values(), ids=BAD_TENSORS.keys())
def test_tensors_that_do_not_fit_are_refused(folder, change):
    header, tensors = good()
    forge(folder, header, {**tensors, **change})
    assert_refused(folder, "is not valid")


@pytest.mark.parametrize("name", sorted(artifact._tensors(full())))
def test_missing_tensors_are_refused(folder, name):
    header, tensors = good()
    del tensors[name]
    forge(folder, header, tensors)
    assert_refused(folder, f"is not valid: '{name}' is missing")


@pytest.mark.parametrize(
    "change",
    [{"levels": 4}, {"levels": 2}, {"levels": 0}, {"levels": -1}, {"levels": "3"}, {"levels": 10**30}, {"levels": None},
     {"dim": 5}, {"dim": "6"}, {"dim": 6.5}, {"dim": None}, {"latent_dim": 6}, {"codebook_sizes": [8, 5, 5]},
     {"codebook_sizes": 8}, {"normalize": "l1"}, {"normalize": None}, {"normalize": ["l2"]}, {"latent_rms": [-1, 1, 1]},
     {"latent_rms": ["1"] * 3}, {"latent_rms": None}, {"latent_rms": 1.5}, {"latent_rms": [1.5]},
     {"encoder": "transformer"},
     {"encoder": "identity"}, {"decoder": None}, {"has_prices": False}, {"has_tables": False}, {"has_prices": "yes"},
     {"kind": 5}, {"training": []}, {"training": None}, {"unknown": 1}, {"beam": 0}, {"beam": 65},
     {"beam": "4"}, {"beam": 1.5}, {"encoder": "behaviour"}, {"decoder": "content"}, {"has_weights": True}],
    ids=repr,
)  # fmt: skip
def test_headers_that_do_not_fit_are_refused(folder, change):
    header, tensors = good()
    forge(folder, {**header, **change}, tensors)
    assert_refused(folder, "is not valid")


@pytest.mark.parametrize("name", sorted(artifact._header(full())))
def test_missing_keys_are_refused(folder, name):
    header, tensors = good()
    del header[name]
    forge(folder, header, tensors)
    assert_refused(folder, "format version None" if name == "format_version" else name)


@pytest.mark.parametrize(
    "weights",
    [
        b"",
        b"\xff" * 64,
        struct.pack("<Q", 2**62) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 2) + b"{}",
        save_tensors({"codebook.0": pattern(8, 3)})[:-1],
        save_tensors({"codebook.0": pattern(8, 3)}).replace(b"F32", b"F99"),
        save_tensors({"codebook.0": pattern(8, 3)}).replace(b"F32", b"I32"),
    ],
)
def test_weights_that_are_none_are_refused(folder, weights):
    forge(folder, good()[0], weights)
    assert_refused(folder, "is not valid")


class Bomb:
    """Unpickling it leaves a file behind."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


def test_a_hostile_artifact_runs_no_code(folder, tmp_path):
    mark = tmp_path / "ran"
    bomb = pickle.dumps(Bomb(mark))
    array = io.BytesIO()
    np.save(array, np.array([Bomb(mark)], dtype=object), allow_pickle=True)
    for weights in (bomb, array.getvalue()):
        forge(folder, good()[0], weights)
        assert_refused(folder, "is not valid")
    (folder / "tokenizer.json").write_bytes(bomb)
    assert_refused(folder, "is not JSON")
    header, tensors = good()
    forge(folder, {**header, "encoder": "os.system", "training": {"__reduce__": f"touch {mark}"}}, tensors)
    assert_refused(folder, "unknown encoder 'os.system'")
    assert not mark.exists()
    pickle.loads(bomb)
    assert mark.exists()  # it would have gone off
