"""Beat's schedule."""

from __future__ import annotations

from celery import Task
from django.utils.module_loading import import_string

from instafeed.core.jobs.schedule import SCHEDULE


def test_entries_have_the_names_of_existing_tasks() -> None:
    for name, entry in SCHEDULE.items():
        task = import_string(entry["task"])
        assert isinstance(task, Task)
        assert (task.name, name) == (entry["task"], task.__name__.replace("_", "-"))
