"""Which replicas this process may read from now, found out in the background.

A *proof* is a sample of the primary's position that a replica was later seen to have replayed: the replica
holds everything committed by that moment. A replica is usable while its proof is younger than
REPLICA_MAX_LAG. Comparing positions, not `pg_last_xact_replay_timestamp()`, an idle primary is not
taken for a lagging replica, and there is no lag, in bytes or seconds, that passes for none.

Checks come every one to two seconds (jittered over the processes), one at a time, while there are reads, in
a thread of their own: a request never waits for a server that is frozen, except that a process which
knows nothing yet, or nothing recent, gives its first check a moment.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta

import psycopg
from django.conf import settings

from instafeed.core.db.replicas import wal
from instafeed.core.db.replicas.timeout_connection import query_row

logger = logging.getLogger(__name__)

CHECK_INTERVAL = (1.0, 2.0)  # seconds between checks, at random
FIRST_CHECK_TIMEOUT = 0.2  # seconds that a read waits for it
MAX_TRANSACTION_AGE = timedelta(seconds=60)  # ids are drawn before the commit: the longest transaction we allow for


@dataclass(slots=True)
class _Replica:
    down_since: float | None = None
    proof: wal.WalSample | None = None
    replayed: int = 0  # its position when it was last asked


class ReplicaMonitor:
    """The state of all replicas in one process."""

    def __init__(self) -> None:
        self._replicas: dict[str, _Replica] = {}
        self._samples: deque[wal.WalSample] = deque()
        self._checking = threading.Lock()
        self._checked = threading.Event()
        self._due = 0.0
        self._checked_at = float("-inf")

    def usable(self) -> list[str]:
        """Replicas that are up and within the bound, in a random order."""
        if not settings.REPLICA_ALIASES:
            return []
        self._refresh()
        oldest = time.monotonic() - settings.REPLICA_MAX_LAG
        aliases = [alias for alias in settings.REPLICA_ALIASES if self._within(alias, oldest)]
        random.shuffle(aliases)
        return aliases

    def is_down(self, alias: str) -> bool:
        return self._state(alias).down_since is not None

    def holds_all_before(self, alias: str, moment: datetime) -> bool:
        """Whether the replica is proved to have every row whose id was drawn before `moment`."""
        proof = self._state(alias).proof
        return proof is not None and proof.moment >= moment + MAX_TRANSACTION_AGE

    def has_replayed(self, alias: str, position: int) -> bool:
        """Whether the replica is proved to have passed a position of the primary; False if not known yet."""
        return self._state(alias).replayed >= position

    def report_failure(self, alias: str, reason: object) -> None:
        """Leave it out until a check that begins after now finds it well. It may have been restarted from
        an earlier state, so what was proved of it is forgotten."""
        state = self._state(alias)
        if state.down_since is None:
            logger.warning("%s is left out of reads: %s", alias, str(reason).strip() or type(reason).__name__)
        state.down_since, state.proof, state.replayed = time.monotonic(), None, 0

    def check_now(self) -> None:
        """Check all replicas in this thread, after a check that is under way."""
        with self._checking:
            self._check_all()

    def _check_all(self) -> None:
        began = time.monotonic()
        self._sample()
        for alias in settings.REPLICA_ALIASES:
            self._check(alias, began)
        self._checked_at = time.monotonic()

    def _refresh(self) -> None:
        now = time.monotonic()
        if now >= self._due and self._checking.acquire(blocking=False):
            self._checked.clear()
            threading.Thread(target=self._check_aside, name="replica-check", daemon=True).start()
        if now - self._checked_at > settings.REPLICA_MAX_LAG:
            self._checked.wait(FIRST_CHECK_TIMEOUT)

    def _check_aside(self) -> None:
        try:
            self._check_all()
        except Exception:
            logger.exception("replicas could not be checked")
        finally:
            self._due = time.monotonic() + random.uniform(*CHECK_INTERVAL)
            self._checked.set()
            self._checking.release()

    def _sample(self) -> None:
        try:
            self._samples.append(wal.sample_primary())
        except psycopg.Error as error:
            # Proofs grow old until it is back. Older samples may still be proved.
            logger.warning("the primary's position is unknown: %s", str(error).strip())
        oldest = time.monotonic() - settings.REPLICA_MAX_LAG
        while self._samples and self._samples[0].taken_at < oldest:
            self._samples.popleft()

    def _check(self, alias: str, began: float) -> None:
        try:
            (replayed,) = query_row(alias, wal.REPLAYED_POSITION_SQL)
        except psycopg.Error as error:
            self.report_failure(alias, error)
            return
        if replayed is None:
            self.report_failure(alias, "it is not a replica")
            return
        state = self._state(alias)
        if state.down_since is not None and state.down_since > began:
            return  # it failed while we asked: what we heard may be older
        if state.down_since is not None:
            logger.warning("%s is back", alias)
        proved = [sample for sample in self._samples if sample.position <= replayed]
        state.replayed, state.proof = replayed, proved[-1] if proved else state.proof
        state.down_since = None

    def _within(self, alias: str, oldest: float) -> bool:
        state = self._state(alias)
        return state.down_since is None and state.proof is not None and state.proof.taken_at >= oldest

    def _state(self, alias: str) -> _Replica:
        return self._replicas.setdefault(alias, _Replica())


monitor = ReplicaMonitor()
