"""Files say by their name what they hold: no two modules share one, and tests lie where their modules do."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

PACKAGE, TESTS = Path(__file__).parents[1] / "drq_spark", Path(__file__).parent
MEANT_TO_RECUR = {"__init__", "step"}  # `step` is what a folder of the pipeline does as a step of a run
WITHOUT_A_PACKAGE = {"faults", "cli", "golden", "jobs", "notebooks", "pipeline"}  # of the whole, not of one folder


def test_a_name_is_that_of_one_module():
    places = defaultdict(list)
    for file in sorted(PACKAGE.rglob("*.py")):
        places[file.stem].append(str(file.relative_to(PACKAGE)))
    assert len(places) > 50
    shared = {name: files for name, files in places.items() if len(files) > 1 and name not in MEANT_TO_RECUR}
    assert shared == {}


def test_each_folder_of_tests_is_that_of_a_package():
    folders = {folder.name for folder in TESTS.iterdir() if list(folder.glob("test_*.py"))}
    packages = {folder.name for folder in PACKAGE.iterdir() if list(folder.glob("*.py"))}
    assert folders - WITHOUT_A_PACKAGE <= packages
    assert packages - folders == {"data"} & packages


def test_the_files_that_come_first_are_there(request):
    first = request.config.pluginmanager.get_plugin(str(TESTS / "conftest.py")).LONGEST
    assert [file for file in first if not (TESTS / file).exists()] == []
