"""Work off due fan-outs: the task of the queue `fan_out`.

    drain → _deliver_next → fanout_outbox.queue.claim_due
                          → fanout.deliver

Fan-outs are delivered in the order in which they became due, many in one round. A round is short, and what it leaves
unfinished goes behind the others: a post of an author with many followers delays no other post for long. A worker
that finds more than one round can take asks for help, so as many workers drain at once as there are for it.

After its last delivery a drain waits for `WATCH_SECONDS` and looks again. Under a steady load of small posts one task a
second is enough, instead of one for each post.
"""

from __future__ import annotations

import time
from enum import Enum, auto

from feeds import fanout, fanout_outbox
from instafeed.core.jobs.leased import Outcome

CLAIM_LIMIT = 50  # fan-outs in one round
DRAIN_SECONDS = 1.0  # then another task continues
WATCH_SECONDS = 0.1


class RoundResult(Enum):
    EMPTY = auto()  # no fan-out is due
    DELIVERED = auto()
    POSTPONED = auto()  # Redis is down


def drain() -> None:
    """Deliver due fan-outs for about `DRAIN_SECONDS`; request the task again if more may be due then."""
    task = fanout_outbox.queue.task
    ends = time.monotonic() + DRAIN_SECONDS
    task.begin_look()
    has_waited = False
    while time.monotonic() < ends:
        result = _deliver_next()
        if result is RoundResult.POSTPONED:
            return  # the sweep continues
        if result is RoundResult.DELIVERED:
            has_waited = False
            continue
        if has_waited or not task.announce_look():
            return
        time.sleep(WATCH_SECONDS)
        task.begin_look()
        has_waited = True
    task.request()


def _deliver_next() -> RoundResult:
    """Deliver the fan-outs that have been due longest."""
    claimed = fanout_outbox.queue.claim_due(CLAIM_LIMIT)
    if not claimed:
        return RoundResult.EMPTY
    if len(claimed) == CLAIM_LIMIT:
        fanout_outbox.queue.task.request()  # another worker, if there is one
    outcomes = fanout.deliver(claimed)
    return RoundResult.POSTPONED if set(outcomes) == {Outcome.POSTPONED} else RoundResult.DELIVERED
