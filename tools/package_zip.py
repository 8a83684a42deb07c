"""Write the zip for `spark-submit --py-files` (`make zip`): package_zip.py [TARGET], else build/drq_spark.zip.

Every executor gets it: it holds what the wheel holds but for the bundled catalogues, which only `drq demo` and
`drq synth` read. The same files make the same bytes, whenever and wherever the zip is made.
"""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "build" / "drq_spark.zip"
LEFT_OUT = ("__pycache__", "data")
TIME = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can name


def main(arguments: list[str]) -> int:
    """Write the zip and tell its size."""
    target = Path(arguments[0]) if arguments else TARGET
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, file in members():
            entry = zipfile.ZipInfo(name, TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, file.read_bytes())
    print(f"{target}  {target.stat().st_size / 1e6:.1f} MB")
    return 0


def members() -> Iterator[tuple[str, Path]]:
    """Name in the zip and file of everything that goes into it, in a fixed order."""
    package = ROOT / "drq_spark"
    for file in sorted(package.rglob("*")):
        inside = file.relative_to(package)
        if file.is_file() and not set(LEFT_OUT) & set(inside.parts):
            yield f"drq_spark/{inside.as_posix()}", file
    for file in sorted((ROOT / "conf").glob("*.yaml")):
        yield f"drq_spark/conf/{file.name}", file


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
