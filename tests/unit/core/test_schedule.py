"""Beat's schedule."""

from __future__ import annotations

from celery import Task
from celery.schedules import crontab
from django.utils.module_loading import import_string

from instafeed.core.jobs.schedule import SCHEDULE


def test_entries_have_the_names_of_existing_tasks() -> None:
    for name, entry in SCHEDULE.items():
        task = import_string(entry["task"])
        assert isinstance(task, Task)
        assert (task.name, name) == (entry["task"], task.__name__.replace("_", "-"))


def test_rare_tasks_run_at_a_time_of_day() -> None:
    """An interval begins again when beat starts, so it would never end on a site that is deployed every day."""
    for name, entry in SCHEDULE.items():
        assert isinstance(entry["schedule"], crontab) or entry["schedule"] <= 600, name
