"""Continue unfinished fan-outs now."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError

from feeds import fanout_outbox
from feeds.models import FanOut
from instafeed.core.jobs.leased import JobState
from instafeed.core.management.base import OperatorCommand


class Command(OperatorCommand):
    help = (
        "Lets the workers continue pending and abandoned fan-outs and dead letters at once. Safe while workers run: "
        "fan-outs that a live worker has claimed are left alone."
    )

    def handle(self, **options: Any) -> str:
        queue = fanout_outbox.queue
        dead, waiting = FanOut.objects.filter(state=JobState.DEAD).count(), queue.unclaimed().count()
        self.stdout.write(f"Resuming {waiting:,} waiting fan-outs and {dead:,} dead letters.")
        if self.dry_run:
            return f"Dry run: would resume {waiting + dead:,}; nothing was changed."
        with self.progress("resumed", waiting + dead) as progress:
            progress.add(queue.requeue_dead_letters())
            progress.add(queue.make_due())
        if not queue.task.request():
            raise CommandError("the broker does not answer; the workers resume the fan-outs once it is back")
        return f"Resumed {waiting + dead:,} fan-outs."
