"""The periodic sweep sees to every queue of leased jobs."""

from __future__ import annotations

import sys

from instafeed import celery  # noqa: F401 (imports all tasks, and with them the queues)
from instafeed.backoffice import sweeps
from instafeed.core.jobs.leased import LeasedQueue

APPS = ("accounts", "feeds", "instafeed", "media", "posts", "social")


def test_sweep_requests_the_task_of_every_queue() -> None:
    modules = [module for name, module in sys.modules.items() if name.partition(".")[0] in APPS]
    queues = [value for module in modules for value in vars(module).values() if isinstance(value, LeasedQueue)]
    assert {queue.task.task for queue in queues} == {queue.task.task for queue in sweeps.QUEUES}
