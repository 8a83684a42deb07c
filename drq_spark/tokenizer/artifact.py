"""Tokenizer files: `tokenizer.json` and `weights.safetensors` in a folder that never changes after it is written.

`docs/artifact-format.md` describes the format for readers in other languages. Nothing in it is executed. Folders may be
on any file system that pyarrow knows (local, hdfs://, s3://, gs://, abfs://).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields
from os import PathLike, fspath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from drq_spark.errors import ArtifactRefused, ConfigError
from drq_spark.files import exists, folders, one_line, read_bytes, write_bytes
from drq_spark.tokenizer.model import Tokenizer
from drq_spark.tokenizer.network import BehaviourEncoder, ContentDecoder, Decoder, Encoder, ResidualMLP

FORMAT_VERSION = 2
HEADER_FILE = "tokenizer.json"
WEIGHTS_FILE = "weights.safetensors"
_FORMS = {ResidualMLP: "residual_mlp", BehaviourEncoder: "behaviour", ContentDecoder: "content"}


def tokenizer_id(tokenizer: Tokenizer) -> str:
    """Content hash: first 16 hex digits of sha256(header without its id, then sha256 of the weights file)."""
    header, weights = _content(tokenizer)
    return _hash(header, weights)


def save_tokenizer(tokenizer: Tokenizer, root: str | PathLike[str]) -> str:
    """Write the artifact to `root`/<tokenizer_id> and return that folder; a whole one that is there already stays.

    A file that is missing or damaged is written again, the header last: it says that the weights are there.

    Raises:
        ConfigError: the folder cannot be written.
    """
    identity, files = artifact_files(tokenizer)
    folder = f"{fspath(root).rstrip('/')}/{identity}"
    try:
        for name, content in files.items():
            path = f"{folder}/{name}"
            if not exists(path) or read_bytes(path) != content:
                write_bytes(path, content)
    except OSError as error:
        raise ConfigError(f"tokenizer folder {folder} cannot be written: {one_line(error)}") from None
    return folder


def load_tokenizer(folder: str | PathLike[str]) -> Tokenizer:
    """Read and verify an artifact: the one that the folder is, or the only one that it or a run in it has.

    Raises:
        ArtifactRefused: missing or unreadable files, several artifacts, another format, content that does not match its
            id, or tensors that do not fit together.
    """
    folder = _artifact_at(fspath(folder).rstrip("/"))
    return tokenizer_of({name: _read(folder, name) for name in (HEADER_FILE, WEIGHTS_FILE)}, folder)


def artifact_files(tokenizer: Tokenizer) -> tuple[str, dict[str, bytes]]:
    """The tokenizer's id, and its files by name, in the order in which they are written: the header comes last."""
    header, weights = _content(tokenizer)
    identity = _hash(header, weights)
    return identity, {WEIGHTS_FILE: weights, HEADER_FILE: _pretty({**header, "tokenizer_id": identity})}


def tokenizer_of(files: Mapping[str, bytes], folder: str) -> Tokenizer:
    """The tokenizer of `artifact_files`, verified; messages say that it comes from `folder`.

    Raises:
        ArtifactRefused: as `load_tokenizer`, but for missing files.
    """
    header = _parsed_header(files[HEADER_FILE], folder)
    version = header.get("format_version")
    if version != FORMAT_VERSION:
        older = isinstance(version, int) and version < FORMAT_VERSION
        raise ArtifactRefused(
            f"tokenizer {folder} has format version {version!r}, this drq_spark reads {FORMAT_VERSION}: "
            + ("train it again, or use the drq_spark that wrote it" if older else "update drq_spark")
        )
    weights = files[WEIGHTS_FILE]
    identity = header.pop("tokenizer_id", None)
    try:
        if _hash(header, weights) != identity:
            raise ArtifactRefused(
                f"tokenizer {folder} was changed after it was written: its content is not {identity!r}"
            )
        return _assemble(header, load_tensors(weights))
    except KeyError as error:
        raise ArtifactRefused(f"tokenizer {folder} is not valid: {error} is missing") from None
    except (TypeError, ValueError, OverflowError, RecursionError, SafetensorError) as error:
        raise ArtifactRefused(f"tokenizer {folder} is not valid: {one_line(error)}") from None


def _artifact_at(folder: str) -> str:
    """The folder of an artifact itself, or of the only one among those that it holds."""
    if exists(f"{folder}/{HEADER_FILE}"):
        return folder
    for root in (f"{folder}/tokenizers", folder):
        found = sorted(name for name in folders(root) if exists(f"{root}/{name}/{HEADER_FILE}"))
        if len(found) > 1:
            raise ArtifactRefused(f"{root} holds {len(found)} tokenizers, {', '.join(found)}: name the folder of one")
        if found:
            return f"{root}/{found[0]}"
    return folder  # to read it says what is missing


def _content(tokenizer: Tokenizer) -> tuple[dict[str, Any], bytes]:
    tensors = _tensors(tokenizer)
    return _header(tokenizer), save_tensors({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()})


def _tensors(tokenizer: Tokenizer) -> dict[str, NDArray[np.float32]]:
    tensors = {f"codebook.{level}": book for level, book in enumerate(tokenizer.codebooks)}
    for name, per_level in (("price", tokenizer.prices), ("weight", tokenizer.weights), ("table", tokenizer.tables)):
        tensors |= {f"{name}.{level}": value for level, value in enumerate(per_level or ())}
    for name, network in (("encoder", tokenizer.encoder), ("decoder", tokenizer.decoder)):
        tensors |= {f"{name}.{key}": value for key, value in (network.tensors() if network else {}).items()}
    return tensors


def _header(tokenizer: Tokenizer) -> dict[str, Any]:
    return {
        "format_version": FORMAT_VERSION,
        "kind": tokenizer.kind,
        "dim": tokenizer.dim,
        "latent_dim": tokenizer.latent_dim,
        "levels": tokenizer.levels,
        "codebook_sizes": list(tokenizer.codebook_sizes),
        "normalize": tokenizer.normalize,
        "latent_rms": list(tokenizer.latent_rms),
        "beam": tokenizer.beam,
        "encoder": _form(tokenizer.encoder),
        "decoder": _form(tokenizer.decoder),
        "has_prices": tokenizer.prices is not None,
        "has_weights": tokenizer.weights is not None,
        "has_tables": tokenizer.tables is not None,
        "training": dict(tokenizer.training),
    }


def _assemble(header: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> Tokenizer:
    levels = range(header["levels"])
    tokenizer = Tokenizer(
        kind=str(header["kind"]),
        dim=int(header["dim"]),
        normalize=header["normalize"],
        codebooks=tuple(tensors[f"codebook.{level}"] for level in levels),
        prices=tuple(tensors[f"price.{level}"] for level in levels) if header["has_prices"] else None,
        weights=tuple(tensors[f"weight.{level}"] for level in levels) if header["has_weights"] else None,
        beam=int(header["beam"]),
        tables=tuple(tensors[f"table.{level}"] for level in levels) if header["has_tables"] else None,
        encoder=_encoder(header["encoder"], tensors),
        decoder=_decoder(header["decoder"], header["latent_dim"], tensors),
        latent_rms=tuple(header["latent_rms"]),
        training=header["training"],
    )
    described = _header(tokenizer)
    if described != header:
        wrong = (key for key in described.keys() | header.keys() if described.get(key) != header.get(key, header))
        raise ValueError(f"{HEADER_FILE} does not describe its tensors by {', '.join(sorted(wrong))}")
    if unknown := sorted(tensors.keys() - _tensors(tokenizer).keys()):
        raise ValueError(f"{WEIGHTS_FILE} holds tensors that {HEADER_FILE} does not name: {', '.join(unknown)}")
    return tokenizer


def _form(network: Encoder | Decoder | None) -> str:
    """The name of a form of encoder or decoder in the header."""
    return "identity" if network is None else _FORMS[type(network)]


def _encoder(form: str, tensors: Mapping[str, NDArray[Any]]) -> Encoder | None:
    if form == _FORMS[BehaviourEncoder]:
        own = {part: tensors[f"encoder.{part}"] for part in ("shift", "centre", "scale")}
        return BehaviourEncoder(network=_residual_mlp("encoder.network", tensors), **own)
    return _network(form, "encoder", tensors)


def _decoder(form: str, latent_dim: int, tensors: Mapping[str, NDArray[Any]]) -> Decoder | None:
    if form == _FORMS[ContentDecoder]:
        return ContentDecoder(tensors["decoder.shift"], latent_dim)
    return _network(form, "decoder", tensors)


def _network(form: str, name: str, tensors: Mapping[str, NDArray[Any]]) -> ResidualMLP | None:
    if form == "identity":
        return None
    if form != _FORMS[ResidualMLP]:
        raise ValueError(f"unknown {name} {form!r}")
    return _residual_mlp(name, tensors)


def _residual_mlp(name: str, tensors: Mapping[str, NDArray[Any]]) -> ResidualMLP:
    return ResidualMLP(**{field.name: tensors[f"{name}.{field.name}"] for field in fields(ResidualMLP)})


def _hash(header: Mapping[str, Any], weights: bytes) -> str:
    canonical = json.dumps(header, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(canonical.encode() + hashlib.sha256(weights).digest()).hexdigest()[:16]


def _pretty(header: Mapping[str, Any]) -> bytes:
    return (json.dumps(header, indent=2, sort_keys=True, allow_nan=False) + "\n").encode()


def _parsed_header(text: bytes, folder: str) -> dict[str, Any]:
    try:
        header = json.loads(text)
    except (ValueError, RecursionError):
        raise ArtifactRefused(f"tokenizer {folder} is not valid: {HEADER_FILE} is not JSON") from None
    if not isinstance(header, dict):
        raise ArtifactRefused(f"tokenizer {folder} is not valid: {HEADER_FILE} must hold one object")
    return header


def _read(folder: str, name: str) -> bytes:
    try:
        return read_bytes(f"{folder}/{name}")
    except OSError as error:
        raise ArtifactRefused(f"tokenizer {folder} cannot be read: {one_line(error)}") from None
