"""A pytest plugin that starts throw-away data services before Django reads its settings, and stops them at the end.

Loaded by `-p tests.stack_plugin` (pyproject.toml), because pytest-django reads the settings before any conftest runs.
Under xdist only the controller starts services; its workers inherit the environment. If the session is killed, the
servers end with the process that started them.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path

import pytest

from instafeed.devstack.data_services import DataServices
from instafeed.devstack.state import StackError
from tests.prebuilt_data import SERVICES_VARIABLE

_session = ExitStack()


def start() -> None:
    """Puts the services' URLs into the environment; does nothing if a parent session did."""
    if os.environ.get(SERVICES_VARIABLE):
        return
    directory = Path(tempfile.mkdtemp(prefix="instafeed-"))
    _session.callback(shutil.rmtree, directory, ignore_errors=True)
    atexit.register(_session.close)
    try:
        services = _session.enter_context(DataServices(directory, fsync=False))
    except StackError as error:
        raise pytest.UsageError(f"no data services for the tests: {error}") from None
    os.environ.update(services.environment)
    os.environ[SERVICES_VARIABLE] = str(directory)


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, None, None]:
    """A wrapper runs before pytest-django's own hook, however early that asks to be called."""
    known = early_config.known_args_namespace
    if not (known.help or known.version):
        start()
    return (yield)


def pytest_unconfigure() -> None:
    _session.close()
