"""Imports stay cheap: a process that needs no Celery, or no S3, does not load it."""

from __future__ import annotations

import pkgutil
import subprocess
import sys

import pytest

import instafeed.core
from instafeed.devstack.state import PROJECT_ROOT

# Modules that define, enqueue or schedule tasks, connect Celery's signals, or read the workers' heartbeats.
MODULES_WITH_CELERY = (
    "instafeed.core.celery_programs",
    "instafeed.core.checks",
    "instafeed.core.db.worker_connections",
    "instafeed.core.jobs",
    "instafeed.core.tasks",
    "instafeed.core.observability.celery_logging",
    "instafeed.core.monitoring.exporter",
    "instafeed.core.monitoring.health",
    "instafeed.core.observability.sentry",
    "instafeed.core.monitoring.redis_limits",
    "instafeed.core.monitoring.worker_exporter",
)


def modules_without_celery() -> list[str]:
    names = [module.name for module in pkgutil.walk_packages(instafeed.core.__path__, "instafeed.core.")]
    return [name for name in names if not name.startswith(MODULES_WITH_CELERY)]


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], cwd=PROJECT_ROOT, capture_output=True, text=True, timeout=200)


def test_modules_without_tasks_do_not_load_celery() -> None:
    names = modules_without_celery()
    assert len(names) > 40
    # The settings module itself loads Celery, for beat's schedule.
    code = f"""
import importlib, sys
from django.apps import apps
from django.conf import settings
settings.configure(
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "instafeed.core"], FEED_BUCKETS=1
)
import instafeed.core.apps
instafeed.core.apps.CoreConfig.ready = lambda self: None
apps.populate(settings.INSTALLED_APPS)
for name in {names!r}:
    importlib.import_module(name)
    assert "celery" not in sys.modules, name
"""
    done = run(code)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("module", ["process", "exceptions", "env"])
def test_the_picture_process_can_import_core_without_django(module: str) -> None:
    done = run(f"import sys, instafeed.core.{module}; assert not {{'celery', 'django', 'kombu'}} & sys.modules.keys()")
    assert done.returncode == 0, done.stderr


def test_the_celery_application_is_loaded_with_the_apps() -> None:
    code = (
        "import os, django\n"
        "os.environ['DJANGO_SETTINGS_MODULE'] = 'instafeed.settings'\n"
        "django.setup()\n"
        "from celery import current_app\n"
        "print(current_app.main, current_app.conf.task_default_queue)\n"
    )
    assert run(code).stdout == "instafeed maintenance\n"


def test_programs_with_a_local_storage_do_not_load_boto3() -> None:
    code = (
        "import os, sys\n"
        "os.environ['DJANGO_SETTINGS_MODULE'] = 'instafeed.settings'\n"
        "import instafeed.wsgi, instafeed.urls\n"
        "from celery import current_app\n"
        "current_app.loader.import_default_modules()\n"
        "assert not {'boto3', 'botocore'} & sys.modules.keys()\n"
    )
    done = run(code)
    assert done.returncode == 0, done.stderr
