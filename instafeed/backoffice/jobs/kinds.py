"""The kinds of jobs. To add one, write its steps in `work`, its form in `forms`, and an entry here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from instafeed.backoffice.jobs import work
from instafeed.backoffice.jobs.forms import BackfillForm, DryRunForm, JobForm, ReclassifyForm, VerifyForm
from instafeed.backoffice.jobs.steps import Progress, Step, Work


@dataclass(frozen=True, slots=True)
class JobKind:
    """`count` returns the number of items, `steps` works from the checkpoint on, `finish` returns the summary.

    All three may raise JobFailed. `finish` may change the figures, and may run twice.
    """

    label: str
    description: str
    form: type[JobForm]
    count: Callable[[Work], int]
    steps: Callable[[Work], Iterator[Step]]
    finish: Callable[[Work, Progress], str]


KINDS = {
    "backfill_feeds": JobKind(
        "Backfill feeds",
        "Rebuilds the feeds in Redis from the database, in the order of user ids. After the loss of a cache it spares "
        "users the wait for their first page.",
        BackfillForm,
        work.count_viewers,
        work.backfill_feeds,
        work.finish_backfill,
    ),
    "verify_feeds": JobKind(
        "Verify feeds",
        "Compares every feed and author timeline in Redis, and the celebrity set, with the database.",
        VerifyForm,
        work.count_users,
        work.verify_feeds,
        work.finish_verification,
    ),
    "reconcile_counters": JobKind(
        "Reconcile counters",
        "Recounts followers, follows, posts, likes and comments while the site is running, and corrects wrong counts.",
        DryRunForm,
        work.count_subjects,
        work.reconcile_counters,
        work.finish_reconciliation,
    ),
    "reclassify_celebrities": JobKind(
        "Reclassify celebrities",
        "Recounts followers, then moves authors between push and pull delivery. Feeds stay complete, and pins hold.",
        ReclassifyForm,
        work.count_recounts,
        work.reclassify_celebrities,
        work.finish_reclassification,
    ),
    "reprocess_pictures": JobKind(
        "Reprocess failed pictures",
        "Processes pictures again that failed because of the machine. Posts that wait for them appear once they are "
        "ready. Invalid pictures have no original any more and stay failed.",
        DryRunForm,
        work.count_failed_pictures,
        work.reprocess_pictures,
        work.finish_reprocessing,
    ),
}
