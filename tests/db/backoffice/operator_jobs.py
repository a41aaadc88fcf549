"""Operator jobs, as tests need them: start one, run its slices, read its result."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from instafeed.backoffice.jobs import results, services, worker
from instafeed.backoffice.jobs.kinds import KINDS
from instafeed.backoffice.jobs.steps import Progress, Step, Work
from instafeed.backoffice.jobs.view import JobView
from instafeed.backoffice.models import OperatorJob
from instafeed.core.jobs.leased import Outcome
from tests.support.leased_jobs import make_due
from tests.support.staff import create_staff

LIST = "/admin/backoffice/operatorjob/"


def start_job(kind: str, **arguments: Any) -> OperatorJob:
    return services.start(kind, arguments, create_staff("Operator"))


def run_to_end(job: OperatorJob) -> JobView:
    """Run slices until the job ends."""
    while True:
        make_due(OperatorJob, job.pk)
        if worker.process_next() is not Outcome.CONTINUED:
            return view_of(job)


def view_of(job: OperatorJob) -> JobView:
    return JobView(OperatorJob.objects.select_related("task_result").get(pk=job.pk))


def page_url(job: OperatorJob) -> str:
    return f"{LIST}{job.pk}/change/"


def progress_of(job: OperatorJob) -> Progress:
    return results.load_progress(view_of(job).job.task_result)


def replace_steps(monkeypatch: Any, kind: str, steps: Any, *, total: int = 10) -> None:
    """Let a kind of job do these steps: a function that takes the work and yields steps."""

    def finish(work: Work, progress: Progress) -> str:
        return f"{progress.done} done."

    original = KINDS[kind]
    replaced = type(original)(original.label, original.description, original.form, lambda work: total, steps, finish)
    monkeypatch.setitem(KINDS, kind, replaced)


def count_up(work: Work) -> Iterator[Step]:
    """Ten steps. The checkpoint is the number of the last one."""
    for number in range(work.checkpoint.get("number", 0) + 1, 11):
        yield Step({"number": number}, 1, {"even": number % 2 == 0}, [f"Step {number}."])
