"""An export is there as a whole or not at all, and takes the place of nothing but an export."""

from __future__ import annotations

from pathlib import Path

import pytest

from drq_spark.errors import ConfigError
from drq_spark.export.whole_output import MARK, whole_output


def fill(output, content: str) -> None:
    result, scratch = (Path(path.removeprefix("file://")) for path in (output.result, output.scratch))
    result.mkdir()
    (result / MARK).write_text(content)
    scratch.mkdir()


def fail(target: str) -> None:
    with whole_output(target, overwrite=True) as output:
        fill(output, "half")
        raise RuntimeError


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_takes_its_name_at_the_end(tmp_path):
    target = tmp_path / "new" / "codes"
    with whole_output(str(target), overwrite=False) as output:
        fill(output, "1")
        assert not target.exists()
    assert (target / MARK).read_text() == "1"
    assert names(target.parent) == ["codes"]
    with pytest.raises(ConfigError, match="is there already"), whole_output(str(target), overwrite=False):
        pass
    with whole_output(str(target), overwrite=True) as output:
        fill(output, "2")
        assert (target / MARK).read_text() == "1"
    assert (target / MARK).read_text() == "2"
    assert names(target.parent) == ["codes"]


def test_what_fails_leaves_what_was_there_and_nothing_beside_it(tmp_path):
    target = tmp_path / "index.json"
    target.write_text("as it was")
    with pytest.raises(RuntimeError):
        fail(str(target))
    assert target.read_text() == "as it was"
    assert names(tmp_path) == ["index.json"]


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_what_fails_leaves_no_folders_above_it_that_were_not_there(tmp_path, scheme):
    (tmp_path / "shop").mkdir()
    with pytest.raises(RuntimeError):
        fail(f"{scheme}{tmp_path}/shop/a/b/codes")
    assert names(tmp_path) == ["shop"]
    assert names(tmp_path / "shop") == []


def test_a_folder_of_something_else_is_never_replaced(tmp_path):
    (tmp_path / "tables").mkdir()
    with pytest.raises(ConfigError, match="no whole export has left"):
        fail(f"{tmp_path}/tables")
    assert names(tmp_path) == ["tables"]
