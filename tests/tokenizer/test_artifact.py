"""Tokenizer files: to the bit, refused when touched, and readable from docs/artifact-format.md alone."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import re
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors
from tokenizer.samples import behaving, full, network, pattern, plain, rows

from drq_spark.errors import ArtifactRefused, ConfigError
from drq_spark.tokenizer import Tokenizer, artifact
from drq_spark.tokenizer.artifact import load_tokenizer, save_tokenizer, tokenizer_id

DOCS = Path(__file__).parents[2] / "docs" / "artifact-format.md"
FORMS = [
    plain(),
    plain(normalize="l2"),
    full(),
    full(prices=None, tables=None),
    full(encoder=None, decoder=None, dim=3),
    behaving(),
    plain(beam=4),
]
GOLDEN_ID = "1dc623464b854604"
GOLDEN_CODES = "028615108f313d3c91299f7c896c25962881e310c72c951e11ed6265436306b9"


# ---- an independent reader: nothing of drq_spark, see docs/artifact-format.md ----


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


# ---- round trip and identity ----


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


# ---- refusals ----


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


def test_content_that_json_cannot_hold_is_refused_before_anything_is_written(tmp_path):
    for training in ({"loss": float("nan")}, {"array": np.zeros(2)}):
        with pytest.raises((TypeError, ValueError)):
            save_tokenizer(full(training=training), str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_the_weights_are_plain_safetensors(folder):
    tensors = load_tensors((folder / "weights.safetensors").read_bytes())
    assert sorted(tensors) == sorted(artifact._tensors(full()))
