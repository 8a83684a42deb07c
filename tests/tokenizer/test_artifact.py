"""Tokenizer files come back to the bit, and any change of content changes the id."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load as load_tensors
from tokenizer.samples import FORMS, full, pattern, plain, rows

from drq_spark.errors import ArtifactRefused, ConfigError
from drq_spark.tokenizer import Tokenizer, artifact
from drq_spark.tokenizer.artifact import load_tokenizer, save_tokenizer, tokenizer_id

GOLDEN_ID = "1dc623464b854604"
GOLDEN_CODES = "028615108f313d3c91299f7c896c25962881e310c72c951e11ed6265436306b9"


@pytest.mark.parametrize("tokenizer", FORMS)
def test_a_saved_tokenizer_comes_back_to_the_bit(tokenizer, tmp_path):
    folder = save_tokenizer(tokenizer, str(tmp_path))
    back = load_tokenizer(folder)
    assert artifact._header(back) == artifact._header(tokenizer)
    before, after = artifact._tensors(tokenizer), artifact._tensors(back)
    assert {name: value.tobytes() for name, value in after.items()} == {n: v.tobytes() for n, v in before.items()}
    assert all(after[name].shape == before[name].shape and after[name].dtype == np.float32 for name in before)
    assert tokenizer_id(back) == Path(folder).name
    x = rows(30, tokenizer.dim)
    assert back.encode(x).margin.tobytes() == tokenizer.encode(x).margin.tobytes()
    codes = back.encode(x).codes
    assert back.decode(codes).tobytes() == tokenizer.decode(codes).tobytes()


def test_memory_layout_is_not_content(tmp_path):
    books = tuple(np.asfortranarray(book) for book in plain().codebooks)
    assert tokenizer_id(plain(codebooks=books)) == tokenizer_id(plain())
    assert (
        load_tokenizer(save_tokenizer(plain(codebooks=books), str(tmp_path))).codebooks[0].tolist() == books[0].tolist()
    )


def test_the_order_of_settings_is_not_content():
    forwards = full(training={"a": 1, "b": {"c": 2, "d": 3}})
    backwards = full(training={"b": {"d": 3, "c": 2}, "a": 1})
    assert tokenizer_id(forwards) == tokenizer_id(backwards)


def last_bit(array: np.ndarray) -> np.ndarray:
    """The same array with one bit of its last number changed."""
    changed = array.copy()
    changed.reshape(-1)[-1:].view(np.uint32)[:] ^= 1
    return changed


def changes() -> list[Tokenizer]:
    base = full()
    levels = [("codebooks", i) for i in range(3)] + [("prices", 1), ("tables", 2)]
    tensors = [
        replace(base, **{name: tuple(last_bit(v) if i == at else v for i, v in enumerate(getattr(base, name)))})
        for name, at in levels
    ]
    networks = [
        replace(base, **{side: replace(getattr(base, side), **{part: last_bit(getattr(getattr(base, side), part))})})
        for side in ("encoder", "decoder")
        for part in base.encoder.tensors()
    ]
    settings = [{"kind": "Full"}, {"normalize": "none"}, {"latent_rms": (1.5, 1.5, 1.5000000000000002)},
                {"prices": None}, {"beam": 2},
                {"tables": None}, {"tables": base.codebooks}, {"training": {**base.training, "seed": 4}}]  # fmt: skip
    return [base, *tensors, *networks, *(replace(base, **setting) for setting in settings)]


def test_any_change_of_content_changes_the_id():
    ids = [tokenizer_id(tokenizer) for tokenizer in changes()]
    assert len(ids) == 28
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch("[0-9a-f]{16}", identity) for identity in ids)


def test_golden_tokenizer():
    """Codes and id of fixed integers: what is published must not move with a version of this package, numpy or BLAS."""
    books = tuple(pattern(32, 16, start=1000 * level, scale=2.0 ** -(10 + level)) for level in range(3))
    tokenizer = plain(16, codebooks=books, normalize="l2", training={"seed": 0})
    codes = tokenizer.encode(pattern(500, 16, start=70000)).codes
    assert len(np.unique(codes, axis=0)) > 300
    assert hashlib.sha256(codes.astype("<i4").tobytes()).hexdigest() == GOLDEN_CODES
    assert tokenizer_id(tokenizer) == GOLDEN_ID


# ---- writing ----


def test_a_second_save_writes_nothing(tmp_path, monkeypatch):
    folder = save_tokenizer(full(), str(tmp_path))
    monkeypatch.setattr(artifact, "write_bytes", lambda path, content: pytest.fail(f"{path} was written again"))
    assert save_tokenizer(full(), f"{tmp_path}/") == folder


@pytest.mark.parametrize("torn", [None, 0, 40])
def test_an_interrupted_write_is_completed_by_the_next(tmp_path, torn):
    """Weights torn, header missing or torn: the next save ends as if nothing had happened."""
    folder = Path(save_tokenizer(full(), str(tmp_path)))
    whole = {path.name: path.read_bytes() for path in folder.iterdir()}
    (folder / "weights.safetensors").write_bytes(whole["weights.safetensors"][:50])
    (folder / "tokenizer.json").unlink()
    if torn is not None:
        (folder / "tokenizer.json").write_bytes(whole["tokenizer.json"][:torn])
    with pytest.raises(ArtifactRefused):
        load_tokenizer(str(folder))
    assert save_tokenizer(full(), str(tmp_path)) == str(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == whole


@pytest.mark.parametrize("name", ["weights.safetensors", "tokenizer.json"])
@pytest.mark.parametrize("damage", [lambda content: content[:64], lambda content: content[:-1] + b"x", None])
def test_a_damaged_file_is_written_again(tmp_path, name, damage):
    folder = Path(save_tokenizer(full(), str(tmp_path)))
    whole = {path.name: path.read_bytes() for path in folder.iterdir()}
    if damage is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(damage(whole[name]))
    save_tokenizer(full(), str(tmp_path))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == whole


def test_the_header_is_written_last(tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(artifact, "write_bytes", lambda path, content: written.append(Path(path).name))
    save_tokenizer(full(), str(tmp_path))
    assert written == ["weights.safetensors", "tokenizer.json"]


def test_a_folder_that_cannot_be_written_is_one_message(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"^tokenizer folder [^\n]+ cannot be written: [^\n]+$"):
        save_tokenizer(full(), str(tmp_path / "file"))


def test_a_folder_may_be_moved(tmp_path):
    folder = Path(save_tokenizer(full(), str(tmp_path)))
    moved = folder.rename(tmp_path / "elsewhere")
    assert tokenizer_id(load_tokenizer(str(moved))) == folder.name
    assert tokenizer_id(load_tokenizer(f"file://{moved}")) == folder.name


def test_content_that_json_cannot_hold_is_refused_before_anything_is_written(tmp_path):
    for training in ({"loss": float("nan")}, {"array": np.zeros(2)}):
        with pytest.raises((TypeError, ValueError)):
            save_tokenizer(full(training=training), str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_the_weights_are_plain_safetensors(tmp_path):
    folder = Path(save_tokenizer(full(), str(tmp_path)))
    tensors = load_tensors((folder / "weights.safetensors").read_bytes())
    assert sorted(tensors) == sorted(artifact._tensors(full()))
