"""Queries over many rows in a session for little data, on a stand-in for its settings."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from drq_spark.local.compiled_queries import INTERPRETED, compiled_queries


class Settings(dict[str, str]):
    """Settings of a session; those that are not set have no value."""

    set = dict.__setitem__


def session(**more: str) -> Any:
    return SimpleNamespace(conf=Settings({**INTERPRETED, **more}))


def test_what_is_interpreted_is_compiled_inside_and_interpreted_again_after_a_fault() -> None:
    spark = session()
    with pytest.raises(OSError, match="broken"), compiled_queries(spark):  # noqa: PT012
        assert spark.conf["spark.sql.codegen.wholeStage"] == "true"
        assert spark.conf["spark.sql.codegen.factoryMode"] != INTERPRETED["spark.sql.codegen.factoryMode"]
        raise OSError("broken")
    assert spark.conf == INTERPRETED


@pytest.mark.parametrize("name", INTERPRETED)
def test_a_session_that_was_set_otherwise_is_left_alone(name: str) -> None:
    spark = session(**{name: "of the user"})
    before = dict(spark.conf)
    with compiled_queries(spark):
        assert spark.conf == before
    del spark.conf[name]
    with compiled_queries(spark):
        assert name not in spark.conf
