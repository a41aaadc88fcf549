"""Operator jobs: they run in slices, go on after crashes and outages, can be cancelled, and are audited."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from types import SimpleNamespace

import pytest
import redis
from celery.result import AsyncResult
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_celery_results.models import TaskResult
from pytest_django import Settings

from accounts.models import AuditEntry
from instafeed.backoffice import retention, sweeps, tasks
from instafeed.backoffice.jobs import log, results, services, worker
from instafeed.backoffice.jobs.kinds import KINDS
from instafeed.backoffice.jobs.steps import Progress, Step, Work
from instafeed.backoffice.jobs.view import JobView
from instafeed.backoffice.models import OperatorJob
from instafeed.core.db import snowflake
from instafeed.core.jobs.leased import JobState, Outcome
from tests.db.backoffice.operator_jobs import (
    LIST,
    count_up,
    page_url,
    progress_of,
    replace_steps,
    run_to_end,
    start_job,
    view_of,
)
from tests.support.leased_jobs import lose_tasks, make_due
from tests.support.staff import admin_client, create_staff, moderator_client, operator_client, superuser_client

pytestmark = pytest.mark.django_db

KIND = "reconcile_counters"


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job counts to ten, one step each slice."""
    monkeypatch.setattr(worker, "SLICE_SECONDS", 0.0)
    replace_steps(monkeypatch, KIND, count_up)


class Killed(BaseException):
    """The worker's process is killed: no handler of ours runs."""


def kill_at(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the worker die in this step, once."""

    def steps(work: Work) -> Iterator[Step]:
        for step in count_up(work):
            if step.checkpoint["number"] == number:
                monkeypatch.setitem(KINDS, KIND, original)
                raise Killed
            yield step

    original = KINDS[KIND]
    replace_steps(monkeypatch, KIND, steps)


def audit_log() -> list[tuple[str, str, dict[str, object]]]:
    entries = AuditEntry.objects.filter(target_type="operator_job").order_by("pk")
    return [(entry.actor_name, entry.action, entry.after) for entry in entries]


# --- Slices ------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("counting")
def test_job_runs_in_slices_with_progress_and_result() -> None:
    job = start_job(KIND)
    assert (view_of(job).status, view_of(job).progress_text) == ("queued", "–")
    assert worker.process_next() is Outcome.CONTINUED
    result: AsyncResult[object] = AsyncResult(job.task_result_id)
    assert (result.state, view_of(job).status, view_of(job).progress_text) == ("PROGRESS", "running", "1 of 10 (10%)")
    view = run_to_end(job)
    assert (result.state, result.result) == ("SUCCESS", "10 done.")
    assert (view.status, view.message, view.progress_text) == ("succeeded", "10 done.", "10 done")
    assert view.figures == [("even", "5")]
    assert view.job.started_at is not None
    assert view.job.ended_at is not None
    assert view.job.created_at < view.job.started_at < view.job.ended_at
    lines = [line[20:] for line in view.job.log.splitlines()]
    assert lines[1:4] == ["Started; 10 to do.", "Step 1.", "Step 2."]
    assert lines[-1] == "10 done."
    assert view.job.checkpoint == {}


def test_slice_lasts_about_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that only the steps move: 0.3 s each."""
    now = 0.0

    def steps(work: Work) -> Iterator[Step]:
        nonlocal now
        for step in count_up(work):
            now += 0.3
            yield step

    monkeypatch.setattr(worker, "time", SimpleNamespace(monotonic=lambda: now))
    monkeypatch.setattr(worker, "SLICE_SECONDS", 1.0)
    replace_steps(monkeypatch, KIND, steps)
    job = start_job(KIND)
    done = []
    while worker.process_next() is Outcome.CONTINUED:
        done.append(progress_of(job).done)
    assert (done, view_of(job).status) == ([4, 8], "succeeded")


@pytest.mark.usefixtures("counting")
def test_each_slice_requests_the_next(redis_broker: redis.Redis) -> None:
    start_job(KIND)
    assert redis_broker.llen("bulk") == 1
    redis_broker.flushdb()
    tasks.run_operator_jobs()
    assert redis_broker.llen("bulk") == 1


@pytest.mark.usefixtures("counting")
def test_rate_pauses_after_each_step(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(worker.time, "sleep", pauses.append)
    run_to_end(start_job(KIND, rate=4))
    assert pauses == [0.25] * 10


# --- Crashes and outages ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("counting")
def test_job_goes_on_after_its_worker_was_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    job = start_job(KIND)
    worker.process_next()
    kill_at(2, monkeypatch)
    with pytest.raises(Killed):
        worker.process_next()
    assert worker.process_next() is Outcome.UNCLAIMED, "the lease of the dead worker holds"
    assert timedelta(minutes=1) > worker.LEASE
    make_due(OperatorJob, job.pk)
    assert not worker.queue.task.is_look_coming()
    sweeps.sweep()
    assert worker.queue.task.is_look_coming()
    view = run_to_end(job)
    assert (view.status, view.progress_text, view.figures) == ("succeeded", "10 done", [("even", "5")])


@pytest.mark.usefixtures("counting")
def test_job_that_kills_its_workers_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    job = start_job(KIND)

    def die(_: Work) -> Iterator[Step]:
        raise Killed
        yield

    replace_steps(monkeypatch, KIND, die)
    for _ in range(worker.MAX_LOST_WORKERS + 1):
        make_due(OperatorJob, job.pk)
        with pytest.raises(Killed):
            worker.process_next()
    assert run_to_end(job).message == "6 workers in a row died during the same step."
    assert start_job(KIND).pk


@pytest.mark.usefixtures("counting")
def test_outage_of_redis_delays_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    job = start_job(KIND)

    def outage(work: Work) -> Iterator[Step]:
        yield next(count_up(work))
        raise redis.ConnectionError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(worker, "SLICE_SECONDS", 60.0)
        patch.setattr(worker, "RETRY_DELAY", timedelta(minutes=10))
        replace_steps(patch, KIND, outage)
        assert worker.process_next() is Outcome.POSTPONED
    view = view_of(job)
    assert (view.status, view.progress_text) == ("waiting", "1 of 10 (10%)"), "the step that was done is saved"
    assert "gone" in view.explanation
    assert worker.process_next() is Outcome.UNCLAIMED
    assert run_to_end(job).progress_text == "10 done"


@pytest.mark.usefixtures("counting")
def test_first_slice_is_running(monkeypatch: pytest.MonkeyPatch) -> None:
    job = start_job(KIND)
    kill_at(1, monkeypatch)
    with pytest.raises(Killed):
        worker.process_next()
    assert view_of(job).status == "running"


def test_job_of_an_unknown_kind_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job of a new version that an old worker claims, or of an old version that was removed."""
    job = start_job(KIND)
    with monkeypatch.context() as patch:
        patch.delitem(KINDS, KIND)
        assert run_to_end(job).message.startswith(f"The workers have no job “{KIND}”.")
    assert start_job(KIND).pk


@pytest.mark.usefixtures("counting")
def test_error_while_saving_is_retried_without_details(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("a secret detail")

    job = start_job(KIND)
    with monkeypatch.context() as patch:
        patch.setattr(results, "store", fail)
        assert worker.process_next() is Outcome.FAILED
    page = operator_client().get(page_url(job)).content.decode()
    assert "An unexpected error interrupted the job" in page
    assert "secret" not in page
    assert run_to_end(job).status == "succeeded"


@pytest.mark.usefixtures("counting")
def test_unexpected_error_fails_with_a_plain_message(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def steps(work: Work) -> Iterator[Step]:
        yield next(count_up(work))
        raise ValueError("a secret detail")

    monkeypatch.setattr(worker, "SLICE_SECONDS", 60.0)
    replace_steps(monkeypatch, KIND, steps)
    job = start_job(KIND)
    view = run_to_end(job)
    assert (view.status, view.progress_text) == ("failed", "1 of 10 (10%)")
    assert view.message == "An unexpected error ended the job (ValueError). The worker's log has the details."
    page = operator_client().get(page_url(job)).content.decode()
    assert "An unexpected error" in page
    assert "secret" not in page
    assert "Traceback" not in page
    (record,) = (record for record in caplog.records if record.exc_info)
    assert "a secret detail" in str(record.exc_info)


def test_dead_broker_delays_the_start(monkeypatch: pytest.MonkeyPatch, redis_broker: redis.Redis) -> None:
    monkeypatch.setattr("instafeed.core.jobs.enqueue.try_enqueue", lambda *_, **__: False)
    response = operator_client().post(f"{LIST}start/{KIND}/", follow=True)
    assert [str(message) for message in response.context["messages"]] == ["The job starts when a worker is free."]
    job = OperatorJob.objects.get()
    assert redis_broker.llen("bulk") == 0
    OperatorJob.objects.update(due_at=timezone.now() - timedelta(minutes=1))
    assert view_of(job).status == "waiting for a worker"
    assert "queue “bulk”" in operator_client().get(page_url(job)).content.decode()
    monkeypatch.undo()
    lose_tasks(redis_broker)
    sweeps.sweep()
    assert redis_broker.llen("bulk") == 1


# --- One of a kind, cancel -----------------------------------------------------------------------------


@pytest.mark.usefixtures("counting")
def test_only_one_job_of_a_kind() -> None:
    job = start_job(KIND)
    for _ in range(2):
        with pytest.raises(services.AlreadyRunning):
            start_job(KIND)
        worker.process_next()
    assert start_job("verify_feeds").pk
    assert TaskResult.objects.count() == 2
    run_to_end(job)
    assert start_job(KIND).pk


def test_database_refuses_a_second_job_of_a_kind() -> None:
    start_job(KIND)
    with pytest.raises(IntegrityError, match="operator_job_one_of_a_kind"), transaction.atomic():
        OperatorJob.objects.create(
            kind=KIND, task_result_id=results.create(KIND, {}), requested_by_id=1, requested_by_name="x"
        )


@pytest.mark.usefixtures("counting")
@pytest.mark.parametrize("moment", ["queued", "between slices", "after its worker died"])
def test_cancel_ends_a_job_at_once(moment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    job = start_job(KIND)
    if moment == "between slices":
        worker.process_next()
    if moment == "after its worker died":
        kill_at(1, monkeypatch)
        with pytest.raises(Killed):
            worker.process_next()
    operator = create_staff("Operator", username="olga")
    response = admin_client(operator).post(f"{LIST}{job.pk}/cancel/", follow=True)
    view = view_of(job)
    assert (view.status, view.message) == ("cancelled", "Cancelled by olga.")
    assert "Cancelled by olga." in response.content.decode()
    assert AsyncResult(job.task_result_id).state == "REVOKED"
    assert not services.cancel(job.pk, operator)
    assert worker.process_next() is Outcome.UNCLAIMED
    assert start_job(KIND).pk


@pytest.mark.usefixtures("counting")
def test_slice_of_a_cancelled_job_saves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    operator = create_staff("Operator")

    def steps(work: Work) -> Iterator[Step]:
        yield next(count_up(work))
        services.cancel(job.pk, operator)

    replace_steps(monkeypatch, KIND, steps)
    monkeypatch.setattr(worker, "SLICE_SECONDS", 60.0)
    job = start_job(KIND)
    assert worker.process_next() is Outcome.OVERTAKEN
    assert (view_of(job).status, progress_of(job)) == ("cancelled", Progress())


# --- Audit, retention, log -----------------------------------------------------------------------------


@pytest.mark.usefixtures("counting")
def test_start_cancel_and_end_are_audited() -> None:
    olga, otto = create_staff("Operator", username="olga"), create_staff("Operator", username="otto")
    first = services.start(KIND, {"dry_run": True}, olga)
    services.cancel(first.pk, otto)
    run_to_end(services.start(KIND, {}, otto))
    assert audit_log() == [
        ("olga", "start_job", {"kind": KIND, "dry_run": True}),
        ("otto", "cancel_job", {"kind": KIND}),
        ("otto", "start_job", {"kind": KIND}),
        ("otto", "end_job", {"kind": KIND, "result": "success", "even": 5}),
    ]
    page = superuser_client().get("/admin/accounts/auditentry/").content.decode()
    assert (
        f'<a href="/admin/backoffice/operatorjob/{first.pk}/change/">operator job {first.kind.replace("_", " ")}</a>'
        in page
    )


@pytest.mark.usefixtures("counting")
def test_jobs_are_deleted_with_their_results(settings: Settings) -> None:
    settings.OPERATOR_JOB_RETENTION_DAYS = 10
    old, young = start_job(KIND), start_job("verify_feeds")
    run_to_end(old)
    OperatorJob.objects.filter(pk=old.pk).update(ended_at=timezone.now() - timedelta(days=11))
    OperatorJob.objects.filter(pk=young.pk).update(created_at=timezone.now() - timedelta(days=99))
    assert retention.delete_expired_rows()
    assert OperatorJob.objects.get() == young
    assert TaskResult.objects.get().task_id == young.task_result_id


def test_log_keeps_the_last_lines_and_one_line_for_each() -> None:
    text = log.append("", (f"line {number}\nmore\0" for number in range(log.MAX_LINES + 5)))
    lines = log.append(text, ["x" * 1_000]).splitlines()
    assert len(lines) == log.MAX_LINES
    assert lines[0].endswith(" line 6 more")
    assert len(lines[-1]) == 20 + log.MAX_LINE_LENGTH


# --- Pages ---------------------------------------------------------------------------------------------


def test_log_is_escaped() -> None:
    job = start_job(KIND)
    OperatorJob.objects.filter(pk=job.pk).update(log="<script>alert(1)</script>")
    page = operator_client().get(page_url(job)).content.decode()
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert" not in page


@pytest.mark.usefixtures("counting")
def test_pages_have_a_fixed_number_of_queries() -> None:
    client = operator_client()

    def count_queries(url: str) -> int:
        with CaptureQueriesContext(connection) as captured:
            assert client.get(url).status_code == 200
        return len(captured)

    job = start_job(KIND)
    before = count_queries(LIST), count_queries(page_url(job)), count_queries(f"{LIST}start/{KIND}/")
    run_to_end(job)
    for _ in range(5):
        run_to_end(start_job(KIND))
    start_job("verify_feeds")
    after = count_queries(LIST), count_queries(page_url(job)), count_queries(f"{LIST}start/{KIND}/")
    assert (after[0], after[1] - 1, after[2]) == before, "an ended job's message is one more query"
    assert max(after) <= 10


@pytest.mark.parametrize(
    ("kind", "data", "error"),
    [
        (KIND, {"rate": "0"}, "greater than or equal to 1"),
        (KIND, {"rate": "fast"}, "whole number"),
        ("backfill_feeds", {"active_since": "soon"}, "valid date"),
        ("reclassify_celebrities", {"threshold": "99999999999"}, "less than or equal to"),
    ],
)
def test_invalid_arguments_are_refused(kind: str, data: dict[str, str], error: str) -> None:
    response = operator_client().post(f"{LIST}start/{kind}/", data)
    assert response.status_code == 200
    assert error in response.content.decode()
    assert not OperatorJob.objects.exists()


def test_arguments_are_stored_and_shown() -> None:
    data = {"active_since": "2026-11-01T12:30", "dry_run": "on", "rate": "500"}
    response = operator_client().post(f"{LIST}start/backfill_feeds/", data, follow=True)
    job = OperatorJob.objects.get()
    assert job.arguments == {"active_since": "2026-11-01T12:30:00+00:00", "dry_run": True, "rate": 500}
    assert response.redirect_chain == [(page_url(job), 302)]
    labels = [label for label, _ in view_of(job).arguments]
    assert labels == ["signed in since (UTC)", "dry run", "at most this many items a second"]
    assert view_of(job).arguments[1][1] == "yes"


def test_second_start_links_to_the_running_job() -> None:
    job = start_job(KIND)
    client = operator_client()
    for response, status in ((client.get(f"{LIST}start/{KIND}/"), 200), (client.post(f"{LIST}start/{KIND}/"), 409)):
        assert response.status_code == status
        assert page_url(job) in response.content.decode()
    assert OperatorJob.objects.count() == 1


@pytest.mark.parametrize(
    "path", ["start/nothing/", "999/change/", "x/change/", f"{snowflake.MAX_ID}/cancel/", "x/cancel/", "%00/change/"]
)
def test_unknown_kinds_and_jobs_are_404(path: str) -> None:
    assert operator_client().get(LIST + path).status_code == 404


def test_get_cancels_nothing() -> None:
    job = start_job(KIND)
    assert operator_client().get(f"{LIST}{job.pk}/cancel/").status_code == 302
    assert view_of(job).status == "queued"


def test_viewers_without_the_run_permission_see_no_buttons() -> None:
    user = create_staff()
    user.user_permissions.set(create_staff("Operator").groups.get().permissions.filter(codename="view_operatorjob"))
    job, client = start_job(KIND), admin_client(user)
    for url in (LIST, page_url(job)):
        page = client.get(url)
        assert page.status_code == 200
        assert "Cancel</button>" not in page.content.decode()
        assert "/start/" not in page.content.decode()
    for url in (f"{LIST}start/verify_feeds/", f"{LIST}{job.pk}/cancel/"):
        assert client.post(url).status_code == 403
    assert view_of(job).status == "queued"


def test_moderators_see_nothing() -> None:
    job, client = start_job(KIND), moderator_client()
    for url in (LIST, page_url(job), f"{LIST}start/{KIND}/", f"{LIST}{job.pk}/cancel/"):
        assert client.get(url).status_code == client.post(url).status_code == 403
    assert "operatorjob" not in client.get("/admin/").content.decode()


def test_job_of_a_kind_that_was_removed_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    job = start_job(KIND)
    monkeypatch.delitem(KINDS, KIND)
    assert operator_client().get(page_url(job)).status_code == 200
    assert JobView(job).label == KIND
    assert job.state == JobState.PENDING
