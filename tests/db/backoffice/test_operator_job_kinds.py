"""Each kind of operator job does the work of its command, in slices, and changes nothing in a dry run."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from accounts.models import AuditEntry, CountChange, User
from feeds import backfill, celebrity_transitions, consistency
from instafeed.backoffice.jobs import work, worker
from instafeed.backoffice.jobs.view import JobView
from instafeed.core.cache import keys
from instafeed.core.cache.client import get_client as cache
from media import storage
from media.models import Media, ProcessingJob, Status
from social.models import Follow
from tests.db.backoffice.operator_jobs import run_to_end, start_job
from tests.db.core.management import scenarios
from tests.support.factories import UserFactory
from tests.support.populated_account import assert_counts_are_exact

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _one_step_a_slice(monkeypatch: pytest.MonkeyPatch, settings: Settings, tmp_path: Path) -> None:
    monkeypatch.setattr(worker, "SLICE_SECONDS", 0.0)
    monkeypatch.setattr(work, "BATCH_SIZE", 2)
    monkeypatch.setattr(work, "CHECK_BATCH_SIZE", 2)
    monkeypatch.setattr(consistency, "RECHECK_DELAY", 0)
    monkeypatch.setattr(celebrity_transitions, "TRANSITION_BATCH_SIZE", 1)
    settings.CELEBRITY_THRESHOLD = scenarios.CELEBRITY_THRESHOLD
    settings.MEDIA_ROOT = str(tmp_path / "media")


def run(kind: str, **arguments: Any) -> JobView:
    view = run_to_end(start_job(kind, **arguments))
    assert view.percentage == 100 or view.status == "failed"
    return view


def warm_feeds() -> int:
    return sum(cache().exists(keys.home_timeline(pk)) for pk in User.objects.values_list("pk", flat=True))


def failed_pictures(directory: Path) -> None:
    """Two failed pictures with their original, one whose original is lost, and an invalid one."""
    owner = UserFactory()
    for _ in range(3):
        path = storage.new_incoming_path()
        storage.save(path, BytesIO(b"a picture"), "image/jpeg")
        Media.objects.create(owner=owner, status=Status.FAILED, error="out of memory", original_path=path)
    storage.delete([path])
    Media.objects.create(owner=owner, status=Status.FAILED, error="not a picture")


def test_backfill_warms_all_feeds() -> None:
    scenarios.cold_feeds(Path())
    view = run("backfill_feeds", rate=100_000)
    users = User.objects.count()
    assert (view.status, view.message) == ("succeeded", f"Rebuilt {users} feeds.")
    assert warm_feeds() == users


def test_backfill_of_recently_active_users() -> None:
    scenarios.cold_feeds(Path())
    recent = User.objects.order_by("pk")[2]
    User.objects.filter(pk=recent.pk).update(last_login="2026-11-02T00:00Z")
    assert run("backfill_feeds", active_since="2026-11-01T12:00:00+00:00").message == "Rebuilt 1 feeds."
    assert cache().exists(keys.home_timeline(recent.pk))
    assert warm_feeds() == 1


def test_verification_repairs_only_if_asked() -> None:
    scenarios.inconsistent_feeds(Path())
    view = run("verify_feeds")
    assert view.message.startswith("Found 3 inconsistencies and changed nothing.")
    assert run("verify_feeds").figures[1] == ("inconsistencies", "3")
    repaired = run("verify_feeds", repair=True)
    assert repaired.message == "Repaired 3 inconsistencies."
    assert repaired.job.log.count("; deleted") == 3
    assert run("verify_feeds").message == "All timelines in Redis are right."


def test_verification_checks_the_timelines_that_the_command_checks() -> None:
    scenarios.inconsistent_feeds(Path())
    assert backfill.rebuild_author_timelines([User.objects.order_by("pk")[0].pk], 0)
    warm = {key for kind in ("feed", "author") for key in cache().keys(keys.pattern(kind))}
    assert run("verify_feeds").figures[0] == ("timelines checked", str(len(warm)))


def test_verification_of_a_cold_cache_says_so() -> None:
    scenarios.cold_feeds(Path())
    view = run("verify_feeds")
    assert (view.figures[0], view.message) == (
        ("timelines checked", "0"),
        "Nothing was warm to check: Redis has no timeline.",
    )


def test_reconciliation_corrects_counts() -> None:
    scenarios.wrong_counts(Path())
    assert run("reconcile_counters", dry_run=True).message == "Dry run: 4 counts are wrong; nothing was changed."
    view = run("reconcile_counters")
    assert view.message == "All counts are right; 4 were corrected."
    assert ("post counts: wrong", "1") in view.figures
    assert_counts_are_exact()
    assert not CountChange.objects.exists(), "the changes are in the users' rows"
    assert run("reconcile_counters").message == "All counts are right; 0 were corrected."


def test_reconciliation_fails_while_counts_are_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    scenarios.wrong_counts(Path())
    monkeypatch.setattr("posts.counter_repair.counters.increment_many", lambda _: None)
    view = run("reconcile_counters")
    assert (view.status, view.message) == ("failed", "2 of 4 counts are still wrong. Start the job again.")


def test_reclassification_recounts_and_moves_authors() -> None:
    scenarios.wrong_celebrity_states(Path())
    view = run("reclassify_celebrities")
    assert view.status == "succeeded", view.message
    assert dict(view.figures)["authors promoted"] == dict(view.figures)["authors demoted"] == "2"
    assert_counts_are_exact()
    assert sum(work.celebrity_policy.count_misplaced()) == 0


def test_reclassification_takes_a_threshold() -> None:
    scenarios.wrong_celebrity_states(Path())
    assert run("reclassify_celebrities", threshold=1).status == "succeeded"
    followed = Follow.objects.values_list("followee_id", flat=True).distinct().count()
    assert User.objects.filter(celebrity_state=2).count() == followed


def test_failed_pictures_are_processed_again() -> None:
    failed_pictures(Path())
    dry = run("reprocess_pictures", dry_run=True)
    assert dry.message == "Dry run: would reprocess 3 pictures; nothing was changed."
    assert not ProcessingJob.objects.exists()
    view = run("reprocess_pictures")
    assert view.message == "Queued 2 pictures for processing; 1 were refused."
    assert "its original is not in the storage" in view.job.log
    assert ProcessingJob.objects.count() == 2
    assert AuditEntry.objects.filter(action="reprocess", actor_name=view.job.requested_by_name).count() == 2


def test_storage_outage_delays_the_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    failed_pictures(Path())
    job = start_job("reprocess_pictures")

    def fail(_: str) -> int:
        raise storage.StorageError("no answer")

    with monkeypatch.context() as patch:
        patch.setattr(storage, "size", fail)
        assert run_to_end(job).status == "waiting"
    assert run_to_end(job).message.startswith("Queued 2 pictures")


@pytest.mark.parametrize(
    ("kind", "set_up"),
    [
        ("backfill_feeds", scenarios.cold_feeds),
        ("reconcile_counters", scenarios.wrong_counts),
        ("reclassify_celebrities", scenarios.wrong_celebrity_states),
        ("reprocess_pictures", failed_pictures),
    ],
)
def test_dry_run_changes_nothing_but_the_job(kind: str, set_up: Callable[[Path], None]) -> None:
    set_up(Path())
    job = start_job(kind, dry_run=True)
    before = scenarios.take_snapshot()
    view = run_to_end(job)
    after = scenarios.take_snapshot()
    changed = {name for name in before | after if before.get(name) != after.get(name)}
    assert view.message.startswith("Dry run: ")
    own = {"backoffice_operatorjob", "django_celery_results_taskresult", "accounts_auditentry"}
    assert {name for name in changed if "bulk" not in name and "_kombu" not in name} == own
