"""Files outside of tables (artifacts, staging folders, the report) on any file system that pyarrow knows."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from drq_spark.errors import ConfigError

if TYPE_CHECKING:  # a tenth of a second, which `drq --help` and tokenizers on local disks do without
    from pyarrow import fs

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
_WHOLE_OBJECTS = ("s3", "gcs", "abfs")  # an object is there when its stream is closed, and a move would copy it
_HADOOP_S3 = re.compile(r"^s3[an]:")  # Hadoop's names for what pyarrow calls s3


def resolve(path: str) -> tuple[fs.FileSystem, str]:
    """File system and path on it of a URI (hdfs://, s3://, s3a://, gs://, abfs://, file:) or a local path.

    Raises:
        ConfigError: a scheme that pyarrow does not know.
    """
    from pyarrow import fs

    if not _is_uri(path):
        return fs.LocalFileSystem(), path
    try:
        filesystem, inner = fs.FileSystem.from_uri(_HADOOP_S3.sub("s3:", path))
    except ValueError as error:
        raise ConfigError(f"{path!r} is not on a file system that pyarrow knows: {one_line(error)}") from None
    return filesystem, inner


def absolute(path: str) -> str:
    """A local path made absolute; a URI stays as it is, without slashes at its end."""
    return path.rstrip("/") if _is_uri(path) else os.path.abspath(os.path.expanduser(path))


def _is_uri(path: str) -> bool:
    return _SCHEME.match(path) is not None


def read_bytes(path: str) -> bytes:
    """Whole content of a file.

    Raises:
        OSError: it cannot be read.
    """
    if not _is_uri(path):
        return Path(path).read_bytes()
    filesystem, inner = resolve(path)
    with filesystem.open_input_stream(inner) as stream:
        return bytes(stream.read())


def write_bytes(path: str, content: bytes) -> None:
    """Write a file and the folders above it; who reads it finds the whole of what was there before or of this.

    Raises:
        OSError: it cannot be written; what was there before stays.
    """
    with writing(path) as stream:
        stream.write(content)


@contextmanager
def writing(path: str) -> Iterator[Any]:
    """A stream into a file, for what is too large to be at hand at once; folders and readers as in `write_bytes`.

    Raises:
        OSError: it cannot be written; what was there before stays, as it does where the work inside fails.
    """
    filesystem, inner = resolve(path)
    filesystem.create_dir(inner.rsplit("/", 1)[0], recursive=True)
    if filesystem.type_name in _WHOLE_OBJECTS:
        with filesystem.open_output_stream(inner) as stream:
            yield stream
        return
    folder, _, name = inner.rpartition("/")
    beside = f"{folder}/.{name}.{uuid4().hex}"
    try:
        with filesystem.open_output_stream(beside) as stream:
            yield stream
        filesystem.move(beside, inner)
    except BaseException:
        with suppress(OSError):
            filesystem.delete_file(beside)
        raise


def moves_folders(path: str) -> bool:
    """Whether a folder there can be given another name at once: not on object stores, which know no folders."""
    return resolve(path)[0].type_name not in _WHOLE_OBJECTS


def move(source: str, target: str) -> None:
    """Give a file or folder another name on the same file system, in a folder that is there."""
    filesystem, inner = resolve(source)
    filesystem.move(inner, resolve(target)[1])


def is_folder(path: str) -> bool:
    """Whether there is a folder of that name."""
    from pyarrow import fs

    filesystem, inner = resolve(path)
    return bool(filesystem.get_file_info(inner).type == fs.FileType.Directory)


def file_names(folder: str) -> list[str]:
    """Names of the files in a folder, in their order; none where it is not there."""
    from pyarrow import fs

    filesystem, inner = resolve(folder)
    found = filesystem.get_file_info(fs.FileSelector(inner, allow_not_found=True))
    return sorted(entry.base_name for entry in found if entry.type == fs.FileType.File)


@contextmanager
def alone_on_disk(path: str) -> Iterator[None]:
    """Keep other processes that lock the same file out while the work inside goes on; the lock goes with its process.

    Only local disks know it; elsewhere the work is done as it is.
    """
    filesystem, inner = resolve(path)
    if fcntl is None or filesystem.type_name != "local":
        yield
        return
    filesystem.create_dir(inner.rsplit("/", 1)[0], recursive=True)
    with open(inner, "w") as file:
        with suppress(OSError):  # mounts of object stores know no locks
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def bytes_on_disk(path: str) -> int | None:
    """Size of a local file, of all files in a local folder, or of those that a local pattern names; None elsewhere."""
    if _is_uri(path):
        return None
    found = [Path(name) for name in glob(path)] or [Path(path)]
    inside = [file for name in found for file in ([name] if name.is_file() else name.rglob("*")) if file.is_file()]
    return sum(file.stat().st_size for file in inside) if inside else None


def ensure_folder(path: str) -> None:
    """Make a folder and those above it; nothing happens where it is there.

    Raises:
        ConfigError: it cannot be made.
    """
    filesystem, inner = resolve(path)
    try:
        filesystem.create_dir(inner, recursive=True)
    except OSError as error:
        raise ConfigError(f"{path!r} cannot be written: {one_line(error)}") from None


def exists(path: str) -> bool:
    """Whether a file or folder of that name is there."""
    if not _is_uri(path):
        return os.path.exists(path)
    from pyarrow import fs

    filesystem, inner = resolve(path)
    return bool(filesystem.get_file_info(inner).type != fs.FileType.NotFound)


def remove_folder(path: str) -> None:
    """Delete a folder with all in it; nothing happens where there is none."""
    from pyarrow import fs

    filesystem, inner = resolve(path)
    if filesystem.get_file_info(inner).type == fs.FileType.Directory:
        filesystem.delete_dir(inner)


def folders(path: str) -> list[str]:
    """Names of the folders in a folder; none where it is not there."""
    if not _is_uri(path):
        return [entry.name for entry in os.scandir(path) if entry.is_dir()] if os.path.isdir(path) else []
    from pyarrow import fs

    filesystem, inner = resolve(path)
    found = filesystem.get_file_info(fs.FileSelector(inner, allow_not_found=True))
    return [entry.base_name for entry in found if entry.type == fs.FileType.Directory]


def remove_empty_folder(path: str) -> None:
    """Delete a folder that holds nothing; one that holds something stays."""
    from pyarrow import fs

    filesystem, inner = resolve(path)
    if filesystem.get_file_info(inner).type == fs.FileType.Directory and not filesystem.get_file_info(
        fs.FileSelector(inner)
    ):
        filesystem.delete_dir(inner)


def one_line(error: BaseException) -> str:
    """The message of an error without line breaks."""
    return " ".join(str(error).split())


def ensure_writable(folder: str) -> None:
    """Refuse a folder that cannot be written, leaving no trace in it.

    Raises:
        ConfigError: the folder cannot be written.
    """
    probe = f"{folder.rstrip('/')}/.drq-write-probe"
    missing = missing_folders(folder)
    try:
        write_bytes(probe, b"")
        filesystem, inner = resolve(probe)
        filesystem.delete_file(inner)
        for made in missing:
            remove_empty_folder(made)
    except OSError as error:
        raise ConfigError(f"{folder!r} cannot be written: {one_line(error)}") from None


def missing_folders(folder: str) -> list[str]:
    """The folder and the ones above it that are not there, deepest first."""
    missing, above = [], folder.rstrip("/")
    while "/" in above.rpartition("://")[2] and not exists(above):
        missing.append(above)
        above = above.rpartition("/")[0]
    return missing
