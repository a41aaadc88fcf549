"""A pytest plugin that starts throw-away data services before Django reads its settings, and stops them at the end.

Loaded by `-p tests.support.services_plugin` (pyproject.toml), because pytest-django reads the settings before any
conftest runs. Under xdist only the controller starts services; its workers inherit the environment. If the session is
killed, the servers end with the process that started them. A session that runs only `tests/unit` starts none.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Generator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from instafeed.devstack.data_services import DataServices
from instafeed.devstack.state import StackError
from tests.support.prebuilt_data import SERVICES_VARIABLE

_UNIT_TESTS = Path(__file__).resolve().parents[1] / "unit"
# Nothing listens on port 1.
_NO_SERVICES = {
    "DATABASE_URL": "postgresql://127.0.0.1:1/instafeed",
    "DATABASE_REPLICA_URLS": "postgresql://127.0.0.1:1/instafeed",
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "CELERY_BROKER_URL": "redis://127.0.0.1:1/0",
    "SECRET_KEY": "signs-nothing-that-leaves-the-tests-0123456789-abcdefghij",
}
_session = ExitStack()


def start() -> None:
    """Put the services' URLs into the environment; do nothing if a parent session did."""
    if os.environ.get(SERVICES_VARIABLE):
        return
    directory = Path(tempfile.mkdtemp(prefix="instafeed-"))
    _session.callback(shutil.rmtree, directory, ignore_errors=True)
    atexit.register(_session.close)
    try:
        services = _session.enter_context(DataServices(directory, fsync=False))
    except StackError as error:
        raise pytest.UsageError(f"no data services for the tests: {error}") from None
    own = {"EMAIL_URL", "SITE_URL"}  # systems that tests start have their own, which these would replace
    os.environ.update({name: value for name, value in services.environment.items() if name not in own})
    os.environ.pop("DATABASE_DIRECT_URL", None)
    os.environ[SERVICES_VARIABLE] = str(directory)


def _are_unit_tests(arguments: Sequence[str]) -> bool:
    paths = [Path(argument.partition("::")[0]).resolve() for argument in arguments]
    return bool(paths) and all(path.is_relative_to(_UNIT_TESTS) for path in paths)


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, None, None]:
    """A wrapper runs before pytest-django's own hook, although that one asks to run first."""
    known = early_config.known_args_namespace
    if _are_unit_tests(known.file_or_dir):
        os.environ.update(_NO_SERVICES)
    elif not (known.help or known.version):
        start()
    return (yield)


def pytest_unconfigure() -> None:
    _session.close()
