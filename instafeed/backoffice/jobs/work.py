"""The work of each kind of job, as steps. The apps' functions do it; the management commands call the same ones.

A step takes about a second at most, may run twice, and may run while another job or a command does the same.
"""

from __future__ import annotations

from collections.abc import Iterator

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS
from django.db.models import QuerySet
from django.utils.dateparse import parse_datetime

from accounts.models import User
from feeds import backfill, celebrity_policy, celebrity_transitions, consistency
from instafeed.backoffice.jobs.steps import JobFailed, Progress, Step, Work
from media import reprocessing
from posts.counter_repair import COUNTER_REPAIRS, CounterRepair, repair_counts
from social.counter_rollup import roll_up
from social.services.follow_count_repair import iterate_id_batches

BATCH_SIZE = 500  # rows that a step reads or compares
CHECK_BATCH_SIZE = 100  # users whose warm timelines a step checks: up to a second
WRONG, STILL_WRONG = "wrong", "still wrong"
_FOLLOW_COUNTS = COUNTER_REPAIRS[0]
_RECOUNT, _PROMOTE, _DEMOTE = range(3)  # the phases of a reclassification


def _users() -> QuerySet[User]:
    return User.objects.using(DEFAULT_DB_ALIAS)


# --- Backfill feeds ------------------------------------------------------------------------------------


def _viewers(work: Work) -> QuerySet[User]:
    viewers = _users().filter(is_active=True)
    since = work.arguments.get("active_since")
    return viewers.filter(last_login__gte=parse_datetime(since)) if since else viewers


def count_viewers(work: Work) -> int:
    return _viewers(work).count()


def backfill_feeds(work: Work) -> Iterator[Step]:
    if work.dry_run:
        return
    after, batch_size = work.checkpoint.get("after", 0), work.batch_size(BATCH_SIZE)
    for user_id in backfill.replace_home_timelines(_viewers(work), after=after, batch_size=batch_size):
        yield Step({"after": user_id}, 1, {"feeds rebuilt": 1})


def finish_backfill(work: Work, progress: Progress) -> str:
    if work.dry_run:
        return f"Dry run: would rebuild {progress.total:,} feeds; nothing was changed."
    return f"Rebuilt {progress.done:,} feeds."


# --- Verify feeds --------------------------------------------------------------------------------------


def count_users(work: Work) -> int:
    return _users().count()


def verify_feeds(work: Work) -> Iterator[Step]:
    """Unlike the command, which scans Redis for timelines, look for those of each user: a user's id is a checkpoint."""
    repair, after = bool(work.arguments.get("repair")), work.checkpoint.get("after")
    if after is None:
        after = 0
        found = consistency.run_checks([consistency.check_celebrity_set], repair=repair)
        yield _verification(found, repair, after, users=0, timelines=0)
    for ids in iterate_id_batches(_users(), work.batch_size(CHECK_BATCH_SIZE), after=after):
        checks = consistency.warm_timeline_checks(ids)
        found = consistency.run_checks(checks, repair=repair)
        yield _verification(found, repair, ids[-1], users=len(ids), timelines=len(checks))


def _verification(
    found: list[consistency.Inconsistency], repair: bool, after: int, *, users: int, timelines: int
) -> Step:
    lines = [inconsistency.describe(repaired=repair) for inconsistency in found]
    return Step({"after": after}, users, {"timelines checked": timelines, "inconsistencies": len(found)}, lines)


def finish_verification(work: Work, progress: Progress) -> str:
    found = progress.figures["inconsistencies"]
    if not found and not progress.figures["timelines checked"]:
        return "Nothing was warm to check: Redis has no timeline."
    if not found:
        return "All timelines in Redis are right."
    if work.arguments.get("repair"):
        return f"Repaired {found:,} inconsistencies."
    return f"Found {found:,} inconsistencies and changed nothing. Start the job again with “repair”."


# --- Reconcile counters --------------------------------------------------------------------------------


def count_subjects(work: Work) -> int:
    return sum(repair.model._default_manager.using(DEFAULT_DB_ALIAS).count() for repair in COUNTER_REPAIRS)


def reconcile_counters(work: Work) -> Iterator[Step]:
    first, after = work.checkpoint.get("repair", 0), work.checkpoint.get("after", 0)
    for number, repair in enumerate(COUNTER_REPAIRS[first:], first):
        for step in _repair_counts(work, repair, after):
            yield Step({"repair": number, **step.checkpoint}, step.done, step.figures, step.lines)
        after = 0
        yield Step({"repair": number + 1}, lines=[f"Compared the {repair.name}."])


def _repair_counts(work: Work, repair: CounterRepair, after: int) -> Iterator[Step]:
    batch_size = work.batch_size(BATCH_SIZE)
    for batch in repair_counts(repair, after=after, batch_size=batch_size, dry_run=work.dry_run):
        figures = {f"{repair.name}: {WRONG}": batch.wrong}
        if batch.left and not work.dry_run:
            figures[STILL_WRONG] = batch.left
        yield Step({"after": batch.last_id}, batch.checked, figures)


def _count_wrong(progress: Progress) -> int:
    return sum(number for name, number in progress.figures.items() if name.endswith(f": {WRONG}"))


def finish_reconciliation(work: Work, progress: Progress) -> str:
    wrong = _count_wrong(progress)
    if work.dry_run:
        return f"Dry run: {wrong:,} counts are wrong; nothing was changed."
    roll_up()
    if left := progress.figures.get(STILL_WRONG, 0):
        raise JobFailed(f"{left:,} of {wrong:,} counts are still wrong. Start the job again.")
    return f"All counts are right; {wrong:,} were corrected."


# --- Reclassify celebrities ----------------------------------------------------------------------------


def _threshold(work: Work) -> int:
    return work.arguments.get("threshold") or settings.CELEBRITY_THRESHOLD


def count_recounts(work: Work) -> int:
    """Return the number of accounts to recount and of authors to move, as far as their counts are right."""
    moves = 0 if work.dry_run else sum(celebrity_policy.count_misplaced(_threshold(work)))
    return count_users(work) + moves


def reclassify_celebrities(work: Work) -> Iterator[Step]:
    phase, after = work.checkpoint.get("phase", _RECOUNT), work.checkpoint.get("after", 0)
    if phase == _RECOUNT:
        for step in _repair_counts(work, _FOLLOW_COUNTS, after):
            yield Step({"phase": _RECOUNT, **step.checkpoint}, step.done, step.figures)
        if not work.dry_run:
            roll_up()
            celebrity_transitions.resume_transitions()
        phase, after = _PROMOTE, 0
        yield Step({"phase": phase}, lines=["Recounted all followers."])
    if work.dry_run:
        return
    if phase == _PROMOTE:
        batch_size = work.batch_size(celebrity_transitions.TRANSITION_BATCH_SIZE)
        for batch in celebrity_transitions.promote_batches(_threshold(work), after=after, batch_size=batch_size):
            yield Step({"phase": phase, "after": batch.last_id}, batch.moved, {"authors promoted": batch.moved})
        phase, after = _DEMOTE, 0
        yield Step({"phase": phase}, lines=["Promoted authors."])
    # One at a time: a demotion deletes the feeds of all followers.
    for batch in celebrity_transitions.demote_batches(_threshold(work), after=after, batch_size=1):
        yield Step({"phase": phase, "after": batch.last_id}, batch.moved, {"authors demoted": batch.moved})


def finish_reclassification(work: Work, progress: Progress) -> str:
    wrong = _count_wrong(progress)
    promotable, demotable = celebrity_policy.count_misplaced(_threshold(work))
    if work.dry_run:
        progress.figures |= {"authors to promote": promotable, "authors to demote": demotable}
        return (
            f"Dry run: {wrong:,} counts are wrong; by the present counts, {promotable:,} authors would be promoted and "
            f"{demotable:,} demoted; nothing was changed."
        )
    if promotable + demotable:
        raise JobFailed(f"{promotable + demotable:,} authors crossed the threshold meanwhile. Start the job again.")
    promoted, demoted = (progress.figures.get(f"authors {verb}", 0) for verb in ("promoted", "demoted"))
    return f"Corrected {wrong:,} counts; promoted {promoted:,} and demoted {demoted:,} authors."


# --- Reprocess failed pictures -------------------------------------------------------------------------


def count_failed_pictures(work: Work) -> int:
    return reprocessing.failed_pictures().count()


def reprocess_pictures(work: Work) -> Iterator[Step]:
    """A picture that fails again is not started again: ids only go up."""
    if work.dry_run:
        return
    ids = reprocessing.failed_pictures().order_by("pk").values_list("pk", flat=True)
    after, batch_size = work.checkpoint.get("after", 0), work.batch_size(BATCH_SIZE)
    while batch := list(ids.filter(pk__gt=after)[:batch_size]):
        for media_id in batch:
            yield _reprocess(media_id, work.operator)
        after = batch[-1]


def _reprocess(media_id: int, operator: User) -> Step:
    try:
        reprocessing.reprocess_one(media_id, operator)
    except reprocessing.NotReprocessable as reason:
        return Step({"after": media_id}, 1, {"refused": 1}, [f"Picture {media_id} was not reprocessed: {reason}."])
    return Step({"after": media_id}, 1, {"queued for processing": 1})


def finish_reprocessing(work: Work, progress: Progress) -> str:
    if work.dry_run:
        return f"Dry run: would reprocess {progress.total:,} pictures; nothing was changed."
    queued, refused = (progress.figures.get(name, 0) for name in ("queued for processing", "refused"))
    return f"Queued {queued:,} pictures for processing" + (f"; {refused:,} were refused." if refused else ".")
