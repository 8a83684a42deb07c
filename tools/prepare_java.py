"""Fetch Delta's jars and make Java's class archive before the tests start, where the progress can be seen."""

from __future__ import annotations

import sys

from drq_spark.errors import SetupError
from drq_spark.local.class_archive import make_class_archive
from drq_spark.local.java import delta_jars, find_java

try:
    java = find_java()
    delta_jars(java, print)
    make_class_archive(java, print)
except SetupError as error:
    sys.exit(f"drq_spark: {error}")
