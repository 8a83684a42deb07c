"""Files are there as a whole or as they were."""

from __future__ import annotations

import fcntl
import subprocess
import sys

import pytest
from pyarrow import fs

from drq_spark import files
from drq_spark.files import bytes_on_disk, write_bytes

HOLD = """
import sys, time
from drq_spark.files import alone_on_disk
with alone_on_disk(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


class Full:
    """A file system whose disk is full after a few bytes."""

    type_name = "local"

    def __init__(self):
        self.local = fs.LocalFileSystem()

    def __getattr__(self, name):
        return getattr(self.local, name)

    def open_output_stream(self, path):
        with self.local.open_output_stream(path) as stream:
            stream.write(b"half")
        raise OSError(28, "No space left on device")


def test_a_file_is_written_over_with_the_folders_above_it(tmp_path):
    path = tmp_path / "new" / "folder" / "report.html"
    for content in (b"first", b"2nd"):
        write_bytes(str(path), content)
        assert path.read_bytes() == content
    assert [file.name for file in path.parent.iterdir()] == ["report.html"]


def test_sizes_of_what_is_on_this_disk(tmp_path):
    for name, size in (("a.parquet", 3), ("b.parquet", 4), ("part/c.parquet", 5)):
        write_bytes(str(tmp_path / name), b"x" * size)
    for path, size in (("a.parquet", 3), ("*.parquet", 7), ("", 12), ("part", 5), ("none", None), ("n*", None)):
        assert bytes_on_disk(str(tmp_path / path)) == size, path
    assert bytes_on_disk("s3://bucket/items") is None
    assert bytes_on_disk("shop.items") is None


def test_a_lock_keeps_others_out_until_its_process_is_killed(tmp_path):
    path = tmp_path / "tables" / ".lock"
    other = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE)
    other.stdout.readline()
    with path.open("w") as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    other.kill()
    other.wait()
    with files.alone_on_disk(str(path)):
        pass


def test_a_full_disk_leaves_what_was_there_and_nothing_beside_it(tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    write_bytes(str(path), b"as it was")
    monkeypatch.setattr(files, "resolve", lambda path: (Full(), path))
    with pytest.raises(OSError, match="No space left"):
        write_bytes(str(path), b"as it will be")
    assert path.read_bytes() == b"as it was"
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]
