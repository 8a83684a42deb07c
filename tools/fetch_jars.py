"""Fetch Delta's jars before the tests start, where the progress line can be seen (`make test`)."""

from __future__ import annotations

import sys

from drq_spark.errors import SetupError
from drq_spark.local.java import delta_jars, find_java

try:
    delta_jars(find_java(), print)
except SetupError as error:
    sys.exit(f"drq_spark: {error}")
