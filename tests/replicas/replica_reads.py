"""Wait until the replica of the test stack answers reads."""

from __future__ import annotations

import time

from instafeed.core.db.replicas import read_your_writes, session
from instafeed.core.db.replicas.monitor import monitor


def wait_for_replica() -> None:
    """Return once reads go to a replica. After a flush of Redis it must first reach the primary's position."""
    for _ in range(200):
        monitor.check_now()
        state = session.begin_session(is_write=False)
        try:
            if read_your_writes.choose_replica(state):
                return
        finally:
            session.end_session()
        time.sleep(0.05)
    raise AssertionError("the replica does not catch up")
