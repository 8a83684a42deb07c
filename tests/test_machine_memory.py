"""The memory that a process may use, in machines and containers of both versions of control groups."""

from __future__ import annotations

from pathlib import Path

import pytest

from drq_spark.machine_memory import _machine, memory_limit

GIB = 2**30
NO_LIMIT_V1 = 9223372036854771712


def machine(root: Path, groups: str, **limits: str | int) -> Path:
    """A root folder with the groups of a process and limits by folder below /sys/fs/cgroup; `_` stands for `/`."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(groups)
    for folder, limit in limits.items():
        place = root / "sys/fs/cgroup" / folder.replace("_", "/")
        place.mkdir(parents=True, exist_ok=True)
        file = "memory.limit_in_bytes" if folder.startswith("memory") else "memory.max"
        (place / file).write_text(f"{limit}\n")
    return root


@pytest.mark.parametrize(
    ("groups", "limits", "gib"),
    [
        ("0::/\n", {"": 2 * GIB}, 2),  # v2, as a container sees itself
        ("0::/pods/one\n", {"pods_one": "max", "pods": 3 * GIB}, 3),  # the limit is of a group above
        ("0::/pods/one\n", {"pods_one": GIB, "pods": 3 * GIB}, 1),
        ("0::/kubepods/pod7/abc\n", {"": 2 * GIB}, 2),  # the name on the host, the top of the tree inside
        ("9:name=systemd:/\n4:memory:/docker/abc\n0::/\n", {"memory": 2 * GIB}, 2),  # v1, inside
        ("4:cpu,memory:/docker/abc\n", {"memory_docker_abc": GIB, "memory": NO_LIMIT_V1}, 1),  # v1, on the host
        ("5:cpuset:/x\n", {"memory": GIB}, None),  # no group of memory
        ("0::/\n", {"": "max"}, None),
        ("", {}, None),
    ],
)
def test_the_least_limit_of_the_groups_above_counts(tmp_path, groups, limits, gib):
    assert memory_limit(machine(tmp_path, groups, **limits)) == (_machine() if gib is None else gib * GIB)


def test_a_system_without_groups_has_its_memory(tmp_path):
    assert memory_limit(tmp_path) == _machine() > 0


def test_a_limit_above_the_machine_is_none(tmp_path):
    assert memory_limit(machine(tmp_path, "0::/\n", **{"": 2**60})) == _machine()
