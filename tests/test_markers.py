"""Which tests `make test-fast` leaves out, and that the others find no Java."""

from __future__ import annotations

import pytest

from drq_spark.errors import SetupError
from drq_spark.local.java import find_java


def test_who_is_not_marked_finds_no_java(request):
    assert request.node.get_closest_marker("spark") is None
    with pytest.raises(SetupError, match=r"JAVA_HOME is /a test that is not marked spark, but .* does not run"):
        find_java()


@pytest.fixture
def table(spark):
    """A fixture that asks for the session."""
    return spark.range(3)


def test_who_asks_for_a_session_through_another_fixture_is_marked(request, table):
    assert table.count() == 3
    assert request.node.get_closest_marker("spark") is not None
