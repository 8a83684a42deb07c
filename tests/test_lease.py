"""One run at a time: who takes the lease, who waits, who has lost it, and what is left of the dead."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from runs_in_hand import run_of

from drq_spark import lease
from drq_spark.errors import Busy
from drq_spark.lease import LENGTH, Holder, Lease, Meanwhile, begun_anew, new_owner
from drq_spark.store import Store

ELSEWHERE = "host.b-12-00000000ffffffff"
HOLD = """
import sys, time
from datetime import datetime
from drq_spark.lease import Lease
from drq_spark.session import local_session
from drq_spark.store import Store
lease = Lease(Store(local_session(master="local[1]", memory="512m", small_data=True), sys.argv[1]))
lease.take()
print(lease.owner, flush=True)
time.sleep(600)
"""


class Row:
    """The row of a lease, replaced as Delta does it: of each term there is one."""

    def __init__(self, owner=None, now=0.0):
        self.now, self.held = now, Holder(1, owner, now, now + LENGTH)

    def put(self, holder):
        if holder.term > self.held.term:
            self.held = holder


class InMemory(Lease):
    """A lease whose row lies in memory, with a clock that stands still."""

    def __init__(self, row, wait_minutes=0.0):
        super().__init__(SimpleNamespace(out="DIR"), wait_minutes, lambda: row.now)
        self.row = row

    def _read(self):
        return self.row.held

    def _write(self, holder):
        self.row.put(holder)


@pytest.fixture
def told(monkeypatch):
    """What waiting says; a sleep moves the clock of the row that is in `told.row`."""
    said = SimpleNamespace(lines=[], row=None, after=lambda: None)

    def sleep(seconds):
        said.row.now += seconds
        said.after()

    monkeypatch.setattr(lease.time, "sleep", sleep)
    return said


class TestTaking:
    def test_the_second_is_told_who_is_at_work_and_refused_when_its_patience_ends(self, told):
        told.row = row = Row()
        first, second = InMemory(row), InMemory(row, wait_minutes=1)
        first.take()
        with pytest.raises(
            Busy, match=r"another run is at work in DIR \(process \d+ on \S+, last sign 1970-01-01 00:00:00"
        ) as refused:
            second.wait(told.lines.append)
        assert len(told.lines) == 1
        assert 60 <= row.now <= 64
        assert "store.wait_minutes" in str(refused.value)
        assert refused.value.exit_code == 6

    def test_the_second_goes_on_when_the_first_has_ended(self, told):
        told.row = row = Row()
        first, second = InMemory(row), InMemory(row, wait_minutes=1)
        first.take()
        told.after = first._give_back
        second.wait(told.lines.append)
        second.take()
        assert row.held.owner == second.owner
        assert len(told.lines) == 1

    @pytest.mark.parametrize("ended", [False, True])
    def test_of_two_that_saw_it_free_one_takes_it_whether_or_not_the_other_has_ended_since(self, told, ended):
        row = Row()
        first, second = InMemory(row), InMemory(row)
        first.wait(told.lines.append)
        second.wait(told.lines.append)
        first.take()
        if ended:
            first._give_back()
        with pytest.raises(Meanwhile):
            second.take()
        assert row.held.owner == (None if ended else first.owner)

    def test_what_was_beaten_is_begun_anew(self):
        tries = iter([Meanwhile("beaten"), Meanwhile("again"), None])

        def work():
            if (error := next(tries)) is not None:
                raise error
            return "done"

        assert begun_anew(work) == "done"

    def test_taking_twice_is_taking_once(self):
        row = Row()
        held = InMemory(row)
        held.take()
        held.take()
        assert row.held.term == 2


class TestTheDead:
    def test_who_gives_no_sign_is_waited_for_until_the_lease_expires(self, told):
        told.row = row = Row(ELSEWHERE, now=100.0)
        waiting = InMemory(row, wait_minutes=10)
        waiting.wait(told.lines.append)
        assert 100 + LENGTH <= row.now <= 104 + LENGTH
        waiting.take()
        assert waiting.left_behind(ELSEWHERE)
        assert not waiting.left_behind("host.c-12-00000000ffffffff")

    def test_a_process_of_this_machine_that_has_ended_is_not_waited_for(self, told):
        ended = subprocess.Popen([sys.executable, "-c", ""])
        ended.wait()
        name = f"here-{ended.pid}-{new_owner().rpartition('-')[2]}"
        row = Row(name)
        after = InMemory(row)
        after.wait(told.lines.append)
        after.take()
        assert after.left_behind(name)

    def test_a_process_of_this_machine_that_goes_on_is(self, told):
        going = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        name = f"here-{going.pid}-{new_owner().rpartition('-')[2]}"
        told.row = row = Row(name)
        after = InMemory(row)
        with pytest.raises(Busy):
            after.wait(told.lines.append)
        assert not after.left_behind(name)
        going.communicate(b"\n")

    def test_a_run_of_this_process_that_could_not_give_its_lease_back_is_not_waited_for(self, told):
        row = Row()
        first, after = InMemory(row), InMemory(row)
        first.take()
        first._write = lambda holder: 1 / 0  # the disk is full
        first._give_back()
        assert row.held.owner == first.owner
        after.wait(told.lines.append)
        after.take()
        assert after.left_behind(first.owner)
        assert told.lines == []

    def test_nobody_takes_what_is_its_own_for_that_of_a_dead_one(self):
        held = InMemory(Row())
        held.take()
        assert not held.left_behind(held.owner)
        held._give_back()
        assert not held.left_behind(held.owner)


class TestSigns:
    def test_a_short_run_gives_none(self):
        row = Row()
        held = InMemory(row)
        with held.kept():
            held.take()
            row.now += LENGTH / 4
            held.confirm()
            assert row.held.term == 2
        assert row.held == Holder(3, None, row.now, row.now + LENGTH)

    def test_a_long_run_keeps_the_lease(self, monkeypatch):
        row, turn = Row(), lease.threading.Event()
        monkeypatch.setattr(lease, "_BEAT", 0.01)
        held = InMemory(row)
        write = held._write
        held._write = lambda holder: (write(holder), turn.set())
        with held.kept():
            held.take()
            for _ in range(3):
                turn.clear()
                row.now += LENGTH / 2
                assert turn.wait(20)
            assert row.held.owner == held.owner
            assert row.held.expires == row.now + LENGTH

    def test_who_slept_too_long_finds_out_before_it_writes(self):
        row = Row()
        slept, other = InMemory(row), InMemory(row)
        slept.take()
        row.now += LENGTH + 1
        other.take()
        with pytest.raises(Busy, match="gave no sign for 5 minutes and another one was at work"):
            slept.confirm()
        slept._give_back()
        assert row.held.owner == other.owner

    def test_who_slept_too_long_with_nobody_else_goes_on(self):
        row = Row()
        slept = InMemory(row)
        slept.take()
        row.now += 2 * LENGTH
        slept.confirm()
        assert row.held == Holder(3, slept.owner, row.now, row.now + LENGTH)


def test_a_real_process_is_respected_while_it_lives_and_followed_when_it_is_killed(spark, tmp_path):
    """In Delta tables, with a process of its own on the other side; staging goes with its dead owner only."""
    environment = {**__import__("os").environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True, env=environment
    )
    owner = other.stdout.readline().strip()
    for name in (owner, ELSEWHERE):
        (tmp_path / "staging" / name).mkdir(parents=True)
    store = Store(spark, str(tmp_path))
    try:
        with pytest.raises(Busy, match=f"process {other.pid} on "):
            Lease(store, 0.0).wait(print)
    finally:
        other.send_signal(signal.SIGKILL)
        other.wait()
    run, late = run_of(spark, tmp_path, "next"), Lease(store, 0.0)
    late.wait(print)
    with run.tidied():
        run.hold()
        assert [folder.name for folder in (tmp_path / "staging").iterdir()] == [ELSEWHERE]
        with pytest.raises(Meanwhile):
            late.take()
    late.wait(print)
    late.take()
