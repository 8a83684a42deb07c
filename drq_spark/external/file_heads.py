"""What a file is, by its first bytes and not by its name; what can be no map of SIDs is refused by its own name."""

from __future__ import annotations

import codecs
import re

from drq_spark.errors import InputRefused

PARQUET, NUMPY, ZIP, JSON, TEXT = "Parquet", "numpy", "zip", "JSON", "text"
FORMS = "Parquet, Delta, CSV or TSV, JSON lines, index-json, .npy, .npz"

_PICKLE = re.compile(rb"\x80[\x02-\x05]|\([ldt]p[0-9]+\n|c[\w.]+\n\w+\n[pq]|[\]}]q\x00")
_TORCH = re.compile(rb"\x80.\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19", re.DOTALL)  # torch.save before its archives
_SAFETENSORS = re.compile(rb".{2}.{4}\x00\x00\{\s*\"", re.DOTALL)
_OTHERS = {
    b"ARROW1": "an Arrow file",
    b"FEA1": "a Feather file",
    b"ORC": "an ORC file",
    b"Obj\x01": "an Avro file",
    b"\x89HDF": "an HDF5 file",
    b"SQLite format 3": "an SQLite database",
    b"\x1f\x8b": "gzip without .gz at the end of its name",
    b"\x28\xb5\x2f\xfd": "compressed by zstandard",
    b"BZh": "compressed by bzip2",
    b"\xff\xfe": "text in UTF-16",
    b"\xfe\xff": "text in UTF-16",
    b"version https://git-lfs": "a pointer of Git LFS and not the file itself (git lfs pull fetches it)",
}


def form_of(head: bytes, path: str) -> str:
    """PARQUET, NUMPY, ZIP, JSON or TEXT, by the first bytes of a file (64 or more, where it has as many).

    Raises:
        InputRefused: it is something else; the message says what, and how to make a form of it that is read.
    """
    if head.startswith(b"PAR1"):
        return PARQUET
    if head.startswith(b"\x93NUMPY"):
        return NUMPY
    if head.startswith(b"PK\x03\x04"):
        return ZIP
    if _TORCH.match(head):
        raise refused_torch(path)
    if _PICKLE.match(head):
        raise refused_pickle(path)
    if _SAFETENSORS.match(head):
        raise _refused_safetensors(path)
    named = next((name for mark, name in _OTHERS.items() if head.startswith(mark)), None)
    if named is not None:
        raise InputRefused(f"SIDs {path!r} are {named}; give one of {FORMS} (text in UTF-8)")
    return JSON if re.match(r"\ufeff?\s*[{\[]", text_of(head, path)) else TEXT


def text_of(head: bytes, path: str) -> str:
    """The first bytes of a text file as text; a character that they cut in two is left out.

    Raises:
        InputRefused: they are no text.
    """
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise InputRefused(f"SIDs {path!r} are a binary file of no known form; give one of {FORMS} (text in UTF-8)")
    return text


def refused_torch(path: str) -> InputRefused:
    """The refusal of what torch.save wrote, with the lines that convert it: no code in the file is run."""
    return InputRefused(
        f"SIDs {path!r} are a torch file, which may hold code: convert it with: import numpy, torch; codes = "
        f"torch.load({path!r}, map_location='cpu', weights_only=True); numpy.save('codes.npy', codes.numpy())"
    )


def refused_pickle(path: str) -> InputRefused:
    """The refusal of a pickle, with the lines that convert it where it is trusted: nothing loads one safely."""
    return _refused_code(path, f"pickle.load(open({path!r}, 'rb'))")


def refused_objects(path: str) -> InputRefused:
    """The refusal of an array of Python objects, which is a pickle inside."""
    return _refused_code(path, f"numpy.load({path!r}, allow_pickle=True)")


def _refused_code(path: str, load: str) -> InputRefused:
    return InputRefused(
        f"SIDs {path!r} are a pickle, which runs code when it is loaded: where you made it yourself, convert it with: "
        f"import numpy, pickle; codes = {load}; numpy.save('codes.npy', numpy.array(codes))"
    )


def _refused_safetensors(path: str) -> InputRefused:
    return InputRefused(
        f"SIDs {path!r} are a safetensors file: convert it with: import numpy; from safetensors.numpy import "
        f"load_file; numpy.save('codes.npy', load_file({path!r})['codes'])"
    )
