"""A ranker of user states as files: `ranker.json` and `weights.safetensors` in a folder that never changes.

States mean something to the ranker that has moved them and to no other. So it is written down when it has been trained,
under a hash of its content, and every night moves states by the same numbers. Nothing in the files is executed.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import nn

from drq_spark.errors import ArtifactRefused
from drq_spark.files import one_line, read_bytes, write_bytes
from drq_spark.probe.hpmn import PeriodicMemoryCell
from drq_spark.probe.item_vectors import SidTable, SidVectors
from drq_spark.probe.mimn import MemoryInductionCell
from drq_spark.probe.user_memory import FittedMemory, MemoryNetwork
from drq_spark.store import RANKER_HEADER

FORMAT_VERSION = 1
_WEIGHTS = "weights.safetensors"
_TABLE = "vectors.table.weight"
CELLS: dict[str, type[MemoryInductionCell] | type[PeriodicMemoryCell]] = {
    "mimn": MemoryInductionCell,
    "hpmn": PeriodicMemoryCell,
}
"""What moves a state, by its name in the header."""


@dataclass(frozen=True)
class FrozenRanker:
    """A ranker that was trained once.

    Attributes:
        ranker_id: Hash of its content, 16 hex digits.
        tokenizer_id: Of the SIDs that it knows items by.
        levels: L, the codes of a SID.
        memory: The ranker, which knows no item until it is told of some by `FittedMemory.knowing`.
    """

    ranker_id: str
    tokenizer_id: str
    levels: int
    memory: FittedMemory


def save_ranker(memory: FittedMemory, tokenizer_id: str, root: str) -> str:
    """Write a ranker on SIDs to `root`/<ranker_id>, the header last, and return that folder.

    Args:
        memory: Fitted by one of `CELLS`, with items known by SID.
        tokenizer_id: Of these SIDs.
        root: Folder, a path or URI.
    """
    network, vectors = memory.network, memory.network.vectors
    assert isinstance(vectors, SidVectors)  # states are to move by items that nobody was trained on
    header = {
        "format_version": FORMAT_VERSION,
        "cell": next(name for name, cell in CELLS.items() if isinstance(network.cell, cell)),
        "tokenizer_id": tokenizer_id,
        "codebook_sizes": list(vectors.spelled.codebook_sizes),
        "buckets": vectors.spelled.buckets,
        "hidden": network.hidden,
    }
    weights = save_tensors({name: tensor.contiguous() for name, tensor in network.state_dict().items()})
    identity = _hash(header, weights)
    folder = f"{root}/{identity}"
    write_bytes(f"{folder}/{_WEIGHTS}", weights)
    write_bytes(f"{folder}/{RANKER_HEADER}", json.dumps({**header, "ranker_id": identity}, indent=2).encode())
    return folder


def load_ranker(folder: str) -> FrozenRanker:
    """Read and verify a ranker.

    Raises:
        ArtifactRefused: files are missing, were changed, or are of another format.
    """
    folder = folder.rstrip("/")
    try:
        header, weights = json.loads(read_bytes(f"{folder}/{RANKER_HEADER}")), read_bytes(f"{folder}/{_WEIGHTS}")
        if header["format_version"] != FORMAT_VERSION:
            raise ArtifactRefused(
                f"ranker {folder} has format version {header['format_version']!r}, this drq_spark reads "
                f"{FORMAT_VERSION}: train it again with drq probe"
            )
        identity = header.pop("ranker_id")
        if _hash(header, weights) != identity:
            raise ArtifactRefused(f"ranker {folder} was changed after it was written: its content is not {identity!r}")
        memory = _assembled(header, load_tensors(weights))
        return FrozenRanker(identity, header["tokenizer_id"], len(header["codebook_sizes"]), memory)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise ArtifactRefused(
            f"ranker {folder} cannot be read: {one_line(error)}; --ranker names a folder that drq probe has left"
        ) from None


def _assembled(header: dict[str, Any], tensors: dict[str, torch.Tensor]) -> FittedMemory:
    spelled = SidTable(tuple(header["codebook_sizes"]), header["buckets"])
    rows, width = tensors[_TABLE].shape
    table = nn.Embedding(rows, width, padding_idx=spelled.rows - 1, _weight=tensors[_TABLE], _freeze=True)
    vectors = SidVectors.of_codes(np.zeros((0, len(spelled.codebook_sizes)), np.int32), spelled, table)
    network = MemoryNetwork(vectors, CELLS[header["cell"]](vectors.width), header["hidden"])
    network.load_state_dict(tensors)
    return FittedMemory(network.eval(), vectors)


def _hash(header: dict[str, Any], weights: bytes) -> str:
    content = json.dumps(header, sort_keys=True).encode() + hashlib.sha256(weights).digest()
    return hashlib.sha256(content).hexdigest()[:16]
