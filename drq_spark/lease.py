"""One run at a time writes into a place: a lease, held by whoever replaced its row in one conditional commit.

Who holds it gives a sign now and then. It is free again when it is given back, when no sign came for `LENGTH`, or when
the process is seen to have ended on the machine of whoever looks. Times are those of the drivers' clocks, which must
agree to a minute.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

from pyspark.sql import functions as F

from drq_spark.config import Config
from drq_spark.errors import Busy
from drq_spark.schemas import LEASE
from drq_spark.store import Store

T = TypeVar("T")
logger = logging.getLogger(__name__)

LENGTH = 300.0  # seconds without a sign after which an owner is taken for dead
_BEAT = LENGTH / 3
_POLL = 3.0  # seconds between two looks at a lease that another holds
_LOST_RACE = re.compile(r"DELTA_CONCURRENT|Concurrent\w*Exception")
_at_work: set[str] = set()  # owners of this process


class Meanwhile(Busy):
    """Another run has worked here since this one looked: what it has read of the tables may be old."""


def begun_anew(work: Callable[[], T]) -> T:
    """What work returns, begun anew as often as another run was quicker to take the lease."""
    while True:
        try:
            return work()
        except Meanwhile as beaten:
            logger.info("%s", beaten)


@dataclass(frozen=True)
class Holder:
    """The row of the lease; times in seconds since 1970. No owner: nobody holds it."""

    term: int
    owner: str | None
    heartbeat: float
    expires: float


_NOBODY = Holder(0, None, 0.0, 0.0)


class Lease:
    """The right to write into a store, for one owner.

    Args:
        store: Where the row is.
        wait_minutes: How long `wait` waits for another owner.
        clock: Seconds since 1970.
    """

    def __init__(self, store: Store, wait_minutes: float | None = None, clock: Callable[[], float] = time.time) -> None:
        self.owner = new_owner()
        self._store, self._clock = store, clock
        self._patience = 60 * (Config().store.wait_minutes if wait_minutes is None else wait_minutes)
        self._known: Holder | None = None
        self._held = self._lost = False
        self._before: str | None = None
        self._lock = threading.RLock()

    def wait(self, tell: Callable[[str], None]) -> None:
        """Wait until nobody else works here, writing nothing; `take` fails if somebody has begun after that.

        Raises:
            Busy: somebody still does when the time to wait is over.
        """
        start, told = self._clock(), False
        while self._is_taken(found := self._read()):
            if self._clock() - start >= self._patience:
                raise Busy(
                    f"another run is at work in {self._store.out} ({_described(found)}): let it end, or let this one "
                    "wait longer with --set store.wait_minutes=.."
                )
            if not told:
                tell(f"waiting for another run in {self._store.out} ({_described(found)})")
            told = True
            time.sleep(_POLL)
        self._known = found

    def take(self) -> None:
        """Hold the lease from now on.

        Raises:
            Busy: another owner holds it.
            Meanwhile: another owner has held it since `wait`.
        """
        with self._lock:
            if self._held:
                return
            if self._known is None:
                self.wait(logger.info)
            _at_work.add(self.owner)
            self._before = self._known.owner if self._known else None
            if not self._replace(self.owner):
                raise Meanwhile(f"another run was at work in {self._store.out} meanwhile: run the same command again")
            self._held = True

    def confirm(self) -> None:
        """Check before a write that the lease has not been lost, and give a sign where the last one is old.

        Raises:
            Busy: another owner took it, because no sign of this one was seen.
        """
        with self._lock:
            if self._held and self._known and self._clock() > self._known.heartbeat + _BEAT:
                self._lost = not self._replace(self.owner)
                self._held = not self._lost
            if self._lost:
                raise Busy(
                    f"this run gave no sign for {LENGTH / 60:g} minutes and another one was at work in "
                    f"{self._store.out} since then: run the same command again"
                )

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Give signs while the work inside goes on, however long it takes, and give the lease back after it."""
        ended = threading.Event()
        beating = threading.Thread(target=self._beat, args=(ended,), daemon=True)
        beating.start()
        try:
            yield
        finally:
            ended.set()
            beating.join()
            self._give_back()

    def left_behind(self, owner: str) -> bool:
        """Whether an owner is known to work no more: it held the lease before this one, or its process has ended."""
        return owner != self.owner and (owner == self._before or _has_ended(owner))

    def _beat(self, ended: threading.Event) -> None:
        while not ended.wait(_BEAT):
            try:
                self.confirm()
            except Busy:
                return  # the next write of the run says so
            except Exception:
                logger.info("no sign could be given that this run is at work", exc_info=True)

    def _give_back(self) -> None:
        _at_work.discard(self.owner)
        with self._lock:
            if self._held:
                try:
                    self._put(None)
                except Exception:  # Spark may be gone, or the disk full: then the lease expires
                    logger.info("the lease of %s could not be given back", self._store.out, exc_info=True)
            self._held, self._known = False, None

    def _is_taken(self, found: Holder) -> bool:
        return (
            found.owner not in (None, self.owner) and self._clock() < found.expires and not _has_ended(str(found.owner))
        )

    def _replace(self, owner: str) -> bool:
        """Put an owner in the place of the row that is known; whether it was still there."""
        try:
            term = self._put(owner)
        except Exception as error:
            if not _LOST_RACE.search(str(error)):
                raise
            return False
        found = self._read()
        if (found.term, found.owner) != (term, owner):
            return False
        self._known = found
        return True

    def _put(self, owner: str | None) -> int:
        """Write the row of the next term; it is left out where one of that term is there."""
        now, term = self._clock(), (self._known or _NOBODY).term + 1
        self._write(Holder(term, owner, now, now + LENGTH))
        return term

    def _write(self, holder: Holder) -> None:
        times = [datetime.fromtimestamp(seconds, timezone.utc) for seconds in (holder.heartbeat, holder.expires)]
        schema = ", ".join(f"{column.name} {column.type}" for column in LEASE.columns)
        row = (holder.term, holder.owner, *times)
        self._store.put_term(LEASE, self._store.spark.createDataFrame([row], schema), holder.term)

    def described(self) -> str | None:
        """Who is at work in the store, in words; None where nobody is."""
        found = self._read()
        return _described(found) if self._is_taken(found) else None

    def _read(self) -> Holder:
        if not self._store.exists(LEASE):
            return _NOBODY
        seconds = [F.unix_millis(name) / 1000 for name in ("heartbeat_at", "expires_at")]
        row = self._store.read(LEASE).select("term", "owner", *seconds).first()
        return _NOBODY if row is None else Holder(*row)


def new_owner() -> str:
    """A name for an owner: host, process, and a mark of the machine with what tells owners of one process apart."""
    host = re.sub(r"[^A-Za-z0-9.]", "", socket.gethostname()) or "host"
    owner = f"{host}-{os.getpid()}-{_machine()}{uuid4().hex[:8]}"
    _at_work.add(owner)
    return owner


def _machine() -> str:
    """A mark of the machine, or of the container, whose processes this one can see; 8 hex digits."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts += [Path("/proc/sys/kernel/random/boot_id").read_text(), os.readlink("/proc/self/ns/pid")]
    return hashlib.sha256("".join(parts).encode()).hexdigest()[:8]


def _has_ended(owner: str) -> bool:
    """Whether the process of an owner can be seen to be no more."""
    parts = owner.rsplit("-", 2)
    if os.name != "posix" or len(parts) != 3 or not parts[1].isdigit() or not parts[2].startswith(_machine()):
        return False
    if int(parts[1]) == os.getpid():
        return owner not in _at_work
    try:
        os.kill(int(parts[1]), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _described(holder: Holder) -> str:
    host, process, _ = str(holder.owner).rsplit("-", 2)
    sign = datetime.fromtimestamp(holder.heartbeat, timezone.utc)
    return f"process {process} on {host}, last sign {sign:%Y-%m-%d %H:%M:%S} UTC"
