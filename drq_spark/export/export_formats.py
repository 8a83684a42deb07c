"""The formats of `drq export`, each declared once: the command line and the page about them follow this table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from drq_spark.errors import ConfigError, did_you_mean

Suffix = Literal["none", "all", "nonzero"]
"""Which items have the number that tells items with one SID apart beside their codes: `nonzero` leaves out the 0s."""
PARQUET, FOLDER = "parquet", "folder"


@dataclass(frozen=True)
class Format:
    """One format.

    Attributes:
        says: What it is, in one line.
        write: "module:function" in this package of what writes it, imported when it is, because it loads Spark.
        extension: How the name of a target usually ends; `FOLDER` for a folder of several things. It is shown only.
        suffix: What `--suffix` may be, the default first; empty where the format has no such choice.
        takes: Other options that it reads.
    """

    says: str
    write: str
    extension: str = FOLDER
    suffix: tuple[Suffix, ...] = ()
    takes: frozenset[str] = frozenset()


FORMATS: dict[str, Format] = {
    "codes": Format("item_id, codes", "sid_tables:write_codes", PARQUET),
    "tokens": Format(
        "item_id, the SID as text of tokens",
        "token_rows:write_tokens",
        PARQUET,
        ("none", "all", "nonzero"),
    ),
    "lookup": Format("sid, codes, item_ids: the items of each SID", "sid_tables:write_lookup", PARQUET),
    "reconstruction": Format(
        "item_id, the embedding that its SID stands for",
        "reconstructions:write_reconstructions",
        PARQUET,
    ),
    "index-json": Format(
        "one JSON object from items to lists of tokens (LC-Rec, LETTER, MiniOneRec)",
        "token_rows:write_index_json",
        "index.json",
        ("none", "all", "nonzero"),
        takes=frozenset({"numbered", "rows-of"}),
    ),
    "sidinspector": Format(
        "item_id, a column per level, sid, method, dataset (SIDInspector); CSV where --to ends in .csv",
        "inspector_table:write_inspector",
        PARQUET,
        ("none", "all"),
        takes=frozenset({"dataset"}),
    ),
    "torcheasyrec": Format(
        "item_to_sid, sid_to_items and a manifest (TorchEasyRec, FORGE)",
        "easyrec_bundle:write_easyrec",
    ),
    "tensor": Format(
        "int64 tensor [L + 1, N] for torch.load (GRID, NVIDIA sid_gr)",
        "sid_tensor:write_tensor",
        suffix=("all", "none"),
        takes=frozenset({"rows-of"}),
    ),
    "trie": Format(
        "arrays of the prefix tree, for constrained decoding",
        "trie_arrays:write_trie",
        suffix=("none", "all"),
    ),
    "hf-tokens": Format(
        "tokens to add to a vocabulary, with rows to begin at (Hugging Face)",
        "token_vocabulary:write_vocabulary",
        suffix=("none", "all"),
    ),
    "faiss": Format("an index that searches by SIDs (FAISS)", "faiss_index:write_faiss"),
}


def format_of(name: str) -> Format:
    """The format of that name.

    Raises:
        ConfigError: there is none.
    """
    if name not in FORMATS:
        raise ConfigError(
            f"no format of drq export is called {name!r}: {did_you_mean(name, FORMATS)}Known: {', '.join(FORMATS)}"
        )
    return FORMATS[name]
