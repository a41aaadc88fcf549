"""Track in the background which replicas this process may read from.

A *proof* is a sample of the primary's position that a replica was later seen to have replayed: the replica then has
everything committed by the sample's moment. A replica is usable while its proof is younger than REPLICA_MAX_LAG.
Because positions are compared, not `pg_last_xact_replay_timestamp()`, an idle primary does not look like a lagging
replica, and no lag passes for zero. A server that is not a streaming replica of this primary is left out
(`wal.find_fault`). While the primary is down nothing new is proved, and the last proofs age.

Checks run one at a time in a background thread, one to two seconds apart (with jitter over the processes), while
there are reads. A request never waits for a frozen server. Only in a process that has no recent check does a read
wait for the first one, at most FIRST_CHECK_TIMEOUT.
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

logger = logging.getLogger(__name__)

CHECK_INTERVAL = (1.0, 2.0)  # seconds between checks, chosen at random
FIRST_CHECK_TIMEOUT = 0.2  # seconds that a read waits for the first check
MAX_TRANSACTION_AGE = timedelta(seconds=60)  # ids are drawn before the commit: the longest transaction allowed for


@dataclass(slots=True)
class _ReplicaState:
    down_since: float | None = None
    proof: wal.WalSample | None = None
    replayed: int = 0  # its position at the last check
    timeline: int = 0


class ReplicaMonitor:
    """The state of all replicas, as this process knows it."""

    def __init__(self) -> None:
        self._checking = threading.Lock()
        self._checked = threading.Event()
        self.reset()

    def reset(self) -> None:
        """Forget everything known about the replicas."""
        self._replicas: dict[str, _ReplicaState] = {}
        self._samples: deque[wal.WalSample] = deque()
        self._next_check_at = 0.0
        self._checked_at = float("-inf")

    def usable(self) -> list[str]:
        """Return the replicas that are up and within REPLICA_MAX_LAG, in random order."""
        if not settings.REPLICA_ALIASES:
            return []
        self._start_check_if_due()
        oldest = time.monotonic() - settings.REPLICA_MAX_LAG
        aliases = [alias for alias in settings.REPLICA_ALIASES if self._is_usable(alias, oldest)]
        random.shuffle(aliases)
        return aliases

    def is_down(self, alias: str) -> bool:
        return self._state(alias).down_since is not None

    def holds_all_before(self, alias: str, moment: datetime) -> bool:
        """Return whether the replica provably has every row whose id was drawn before `moment`."""
        proof = self._state(alias).proof
        return proof is not None and proof.moment >= moment + MAX_TRANSACTION_AGE

    @property
    def timeline(self) -> int:
        """The primary's timeline at its last sample; 0 if there is none."""
        return self._samples[-1].timeline if self._samples else 0

    def replayed_position(self, alias: str, lsn: int) -> int:
        """Return the position that the replica's LSN stands for. Its timeline is that of the last check."""
        return wal.encode_position(self._state(alias).timeline, lsn)

    def has_replayed(self, alias: str, position: int) -> bool:
        """Return whether the replica had replayed `position` at its last check."""
        return wal.has_passed(self._state(alias).replayed, position)

    def report_failure(self, alias: str, reason: object) -> None:
        """Exclude the replica until a check that starts later succeeds.

        Its proof is discarded: it may be restarted from an earlier state.
        """
        state = self._state(alias)
        if state.down_since is None:
            logger.warning("%s is left out of reads: %s", alias, str(reason).strip() or type(reason).__name__)
        state.down_since, state.proof, state.replayed, state.timeline = time.monotonic(), None, 0, 0

    def check_now(self) -> None:
        """Check all replicas in this thread, after any check that is running (tests)."""
        with self._checking:
            self._check_all()

    def wait_until_idle(self) -> None:
        """Wait for the end of a check that is running (tests)."""
        with self._checking:
            pass

    def _start_check_if_due(self) -> None:
        now = time.monotonic()
        if now >= self._next_check_at and self._checking.acquire(blocking=False):
            self._checked.clear()
            threading.Thread(target=self._check_in_background, name="replica-check", daemon=True).start()
        if now - self._checked_at > settings.REPLICA_MAX_LAG:
            self._checked.wait(FIRST_CHECK_TIMEOUT)

    def _check_in_background(self) -> None:
        try:
            self._check_all()
        except Exception:
            logger.exception("replicas could not be checked")
        finally:
            self._next_check_at = time.monotonic() + random.uniform(*CHECK_INTERVAL)
            self._checked.set()
            self._checking.release()

    def _check_all(self) -> None:
        started_at = time.monotonic()
        primary = self._sample_primary()
        for alias in settings.REPLICA_ALIASES:
            self._check(alias, started_at, primary)
        self._checked_at = time.monotonic()

    def _sample_primary(self) -> wal.WalSample | None:
        sample = None
        try:
            sample = wal.sample_primary()
            self._samples.append(sample)
        except psycopg.Error as error:
            # Proofs age until the primary is back. Older samples can still be proved.
            logger.warning("the primary's position is unknown: %s", str(error).strip())
        oldest = time.monotonic() - settings.REPLICA_MAX_LAG
        while self._samples and self._samples[0].taken_at < oldest:
            self._samples.popleft()
        return sample

    def _check(self, alias: str, started_at: float, primary: wal.WalSample | None) -> None:
        try:
            status = wal.fetch_replica_status(alias)
        except psycopg.Error as error:
            self.report_failure(alias, error)
            return
        fault = self._find_fault(status, primary)
        if fault or status.lsn is None:
            self.report_failure(alias, fault or wal.Fault.NOT_A_REPLICA)
            return
        state = self._state(alias)
        if primary:
            state.timeline = primary.timeline
        replayed = wal.encode_position(state.timeline, status.lsn)
        if state.down_since is not None and state.down_since > started_at:
            return  # it failed during this check: the reply may be older than the failure
        if state.down_since is not None:
            logger.warning("%s is back", alias)
        proved = [sample for sample in self._samples if wal.has_passed(replayed, sample.position)]
        state.replayed, state.proof = replayed, proved[-1] if proved else state.proof
        state.down_since = None

    def _find_fault(self, status: wal.ReplicaStatus, primary: wal.WalSample | None) -> wal.Fault | None:
        """While the primary is down, its replicas cannot stream; but they are still replicas of the same cluster."""
        if primary is not None:
            return wal.find_fault(status, primary)
        is_foreign = bool(self._samples) and status.system_identifier != self._samples[-1].system_identifier
        return wal.Fault.OTHER_CLUSTER if is_foreign else None

    def _is_usable(self, alias: str, oldest: float) -> bool:
        state = self._state(alias)
        return state.down_since is None and state.proof is not None and state.proof.taken_at >= oldest

    def _state(self, alias: str) -> _ReplicaState:
        return self._replicas.setdefault(alias, _ReplicaState())


monitor = ReplicaMonitor()
