"""Wait until the replica of the test stack answers reads."""

from __future__ import annotations

from instafeed.core.db.replicas import read_your_writes, session
from instafeed.core.db.replicas.monitor import monitor
from tests.support.eventually import eventually


def wait_for_replica() -> None:
    """Return once reads go to a replica. After a flush of Redis it must first reach the primary's position."""
    eventually(_is_replica_chosen)


def _is_replica_chosen() -> bool:
    monitor.check_now()
    state = session.begin_session(is_write=False)
    try:
        return bool(read_your_writes.choose_replica(state))
    finally:
        session.end_session()
