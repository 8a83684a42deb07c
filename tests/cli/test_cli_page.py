"""docs/cli.md is what the commands say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_is_what_the_generator_writes():
    command = [sys.executable, str(ROOT / "tools" / "cli_page.py"), "--check"]
    reply = subprocess.run(command, capture_output=True, text=True, check=False)
    assert reply.returncode == 0, reply.stderr


def test_every_job_is_a_command_of_the_page():
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert [job.stem for job in (ROOT / "jobs").glob("*.py") if f"## drq {job.stem}\n" not in page] == []
