"""The sweep of fan-outs: dispatch overdue ones again.

A fan-out is overdue when its task was lost, its worker died, or its retry delay is over. Celery beat runs
`feeds.tasks.sweep_fan_outs` every 5 s. An operator dispatches without waiting for it: see `feeds.admin_actions`.
"""

from __future__ import annotations

from celery import Task

from feeds import fanout_outbox
from instafeed.core.jobs.enqueue import try_enqueue

SWEEP_BATCH_SIZE = 500  # fan-outs


def dispatch_overdue(deliver_post: Task) -> int:
    """Enqueue `deliver_post` for each overdue fan-out. Return the number of fan-outs."""
    return fanout_outbox.queue.dispatch_overdue(SWEEP_BATCH_SIZE, lambda post_id: try_enqueue(deliver_post, post_id))
