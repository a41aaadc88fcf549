"""Hand out unfinished fan-outs now."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from feeds import fanout_outbox, tasks
from feeds.models import FanOut, State
from instafeed.core.jobs import enqueue
from instafeed.core.management.base import OperatorCommand


class Command(OperatorCommand):
    help = (
        "Dispatches pending and stalled fan-outs and dead letters to the workers at once. Safe beside living "
        "workers: what is being worked on is left alone."
    )

    def handle(self, **options: Any) -> str:
        dead = FanOut.objects.filter(state=State.DEAD).count()
        waiting = sorted(fanout_outbox.unclaimed().values_list("pk", flat=True))
        self.stdout.write(f"Dispatching {len(waiting):,} waiting fan-outs and {dead:,} dead letters to the workers.")
        if self.dry_run:
            return f"Dry run: would dispatch {len(waiting) + dead:,}; nothing was changed."
        if dead:
            fanout_outbox.requeue_dead_letters()
            waiting = sorted(fanout_outbox.unclaimed().values_list("pk", flat=True))
        with self.progress("dispatched", len(waiting)) as progress:
            for post_id in waiting:
                if not enqueue.try_enqueue(tasks.deliver_post, post_id):
                    raise CommandError(
                        f"the broker does not answer: {progress.done:,} of {len(waiting):,} dispatched; "
                        "the sweeper goes on once it does"
                    )
                progress.add()
        return f"Dispatched {progress.done:,} fan-outs at {timezone.now():%H:%M:%S}."
