"""Dispatch unfinished fan-outs now."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from feeds import fanout_outbox, tasks
from feeds.models import FanOut
from instafeed.core.jobs.enqueue import try_enqueue
from instafeed.core.jobs.leased import JobState
from instafeed.core.management.base import OperatorCommand


class Command(OperatorCommand):
    help = (
        "Dispatches pending and abandoned fan-outs and dead letters to the workers at once. Safe while workers run: "
        "fan-outs that a live worker has claimed are left alone."
    )

    def handle(self, **options: Any) -> str:
        dead = FanOut.objects.filter(state=JobState.DEAD).count()
        waiting_ids = _waiting_ids()
        self.stdout.write(
            f"Dispatching {len(waiting_ids):,} waiting fan-outs and {dead:,} dead letters to the workers."
        )
        if self.dry_run:
            return f"Dry run: would dispatch {len(waiting_ids) + dead:,}; nothing was changed."
        if dead:
            fanout_outbox.queue.requeue_dead_letters()
            waiting_ids = _waiting_ids()
        fanout_outbox.queue.make_due(waiting_ids)
        with self.progress("dispatched", len(waiting_ids)) as progress:
            for post_id in waiting_ids:
                if not try_enqueue(tasks.deliver_post, post_id):
                    raise CommandError(
                        f"the broker does not answer: {progress.done:,} of {len(waiting_ids):,} dispatched; "
                        "the next sweep dispatches the rest once the broker is back"
                    )
                progress.add()
        return f"Dispatched {progress.done:,} fan-outs at {timezone.now():%H:%M:%S}."


def _waiting_ids() -> list[int]:
    return sorted(fanout_outbox.queue.unclaimed().values_list("pk", flat=True))
