"""Beat's schedule. A run that no worker has started within `expires` seconds is skipped.

Each entry has the name of its task's function, with hyphens.
"""

from __future__ import annotations

from typing import Any

from celery.schedules import crontab


def _entry(schedule: float | crontab, task: str, *, expires: int) -> dict[str, Any]:
    """Return a beat entry; `schedule` and `expires` are in seconds."""
    return {"task": task, "schedule": schedule, "options": {"expires": expires}}


_TEN_MINUTES = 600.0
# At an hour of the day (UTC). An interval begins again with each new container, in which beat knows no last run: with a
# new version a day, tasks that run every 24 hours would never run.
_DAILY = crontab(hour="3", minute="17")
_HOURLY = crontab(minute="47")

# An idle site does little but this, so what must run often is few tasks.
SCHEDULE = {
    "sweep-jobs": _entry(5.0, "instafeed.backoffice.tasks.sweep_jobs", expires=10),
    "sweep-invalidations": _entry(2.0, "instafeed.core.tasks.sweep_invalidations", expires=10),
    "delete-retracted-notifications": _entry(_TEN_MINUTES, "social.tasks.delete_retracted_notifications", expires=600),
    "roll-up-counts": _entry(5.0, "social.tasks.roll_up_counts", expires=10),
    "resume-celebrity-transitions": _entry(15.0, "feeds.tasks.resume_celebrity_transitions", expires=30),
    "rank-explore": _entry(15.0, "posts.tasks.rank_explore", expires=15),
    "flush-expired-tokens": _entry(_DAILY, "accounts.tasks.flush_expired_tokens", expires=3_600),
    "delete-expired-rows": _entry(_HOURLY, "instafeed.backoffice.tasks.delete_expired_rows", expires=3_600),
    "flush-expired-sessions": _entry(_DAILY, "instafeed.core.tasks.flush_expired_sessions", expires=3_600),
    "purge-cache": _entry(_TEN_MINUTES, "instafeed.core.tasks.purge_cache", expires=600),
    # At each full minute. With an interval of 60 s, a run that is slightly late would skip a minute.
    "take-sample": _entry(crontab(), "instafeed.backoffice.tasks.take_sample", expires=50),
    "lift-suspensions": _entry(60.0, "accounts.tasks.lift_suspensions", expires=60),
    "delete-expired-exports": _entry(_TEN_MINUTES, "instafeed.exports.tasks.delete_expired_exports", expires=600),
    "delete-orphans": _entry(_TEN_MINUTES, "media.tasks.delete_orphans", expires=600),
}
