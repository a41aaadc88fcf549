"""Work off due fan-outs: the task of the queue `fan_out`.

Fan-outs are delivered in the order in which they became due, many in one round. A round is short, and what it leaves
unfinished goes behind the others: a post of an author with many followers delays no other post for long. If more are
due than a round can take, another worker is asked for help, so as many workers drain at once as there are for it.

After a round a drain waits for `WATCH_SECONDS` and looks again. Under a steady load of small posts one task a second is
enough, instead of one for each post.
"""

from __future__ import annotations

import time

from feeds import fanout, fanout_outbox
from instafeed.core.jobs.leased import Outcome

CLAIM_LIMIT = 50  # fan-outs in one round
DRAIN_SECONDS = 1.0  # then another task continues
WATCH_SECONDS = 0.1


def drain() -> None:
    """Deliver due fan-outs for about `DRAIN_SECONDS`; request the task again if more may be due then.

    A post that is committed meanwhile needs no task of its own while this drain looks again, or while another task is
    enqueued. The mark that says so is removed before the look, by the drain or the task that set it.
    """
    task = fanout_outbox.queue.task
    ends = time.monotonic() + DRAIN_SECONDS
    task.begin_look()
    while time.monotonic() < ends:
        claimed, has_more = fanout_outbox.claim_due(CLAIM_LIMIT)
        if not claimed:
            return
        if has_more:
            task.request()  # another worker, if there is one
        looks_again = not has_more and task.announce_look()
        outcomes = fanout.deliver(claimed)
        if set(outcomes) == {Outcome.POSTPONED}:
            return  # Redis is down; the sweep continues
        if not has_more and Outcome.CONTINUED not in outcomes:
            time.sleep(WATCH_SECONDS)
        if looks_again:
            task.begin_look()
    task.request()
