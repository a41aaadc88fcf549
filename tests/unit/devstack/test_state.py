"""The record, lock and secrets in a stack's directory."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from instafeed.devstack.state import (
    ProcessIdentity,
    StackError,
    StackLayout,
    StackRecord,
    load_or_create_secrets,
    lock_directory,
    running_environment,
    write_private,
)


def write_record(root: Path, supervisor: ProcessIdentity, environment: dict[str, str]) -> None:
    StackRecord(supervisor, environment=environment).write(StackLayout(root).record)


def test_environment_of_a_running_stack(tmp_path: Path) -> None:
    write_record(tmp_path, ProcessIdentity.of(os.getpid()), {"REDIS_URL": "redis://here"})
    assert running_environment(tmp_path) == {"REDIS_URL": "redis://here"}


def test_starting_stack_has_no_environment(tmp_path: Path) -> None:
    write_record(tmp_path, ProcessIdentity.of(os.getpid()), {})
    assert running_environment(tmp_path) is None


def test_reused_pid_is_not_a_stack(tmp_path: Path) -> None:
    write_record(tmp_path, ProcessIdentity(os.getpid(), "another time"), {"REDIS_URL": "redis://here"})
    assert running_environment(tmp_path) is None


def test_zombie_is_not_alive() -> None:
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not ProcessIdentity.of(child.pid).alive()
    child.wait()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"supervisor": {}}', "null"])
def test_damaged_record_is_ignored(tmp_path: Path, text: str) -> None:
    StackLayout(tmp_path).record.write_text(text)
    assert running_environment(tmp_path) is None


def test_missing_directory_has_no_stack_and_is_not_created(tmp_path: Path) -> None:
    assert running_environment(tmp_path / "none") is None
    assert not (tmp_path / "none").exists()


def test_secrets_are_created_once_and_private(tmp_path: Path) -> None:
    layout = StackLayout(tmp_path)
    first = load_or_create_secrets(layout, "django")
    both = load_or_create_secrets(layout, "django", "redis")
    assert both["django"] == first["django"] != both["redis"]
    assert stat.S_IMODE(layout.secrets.stat().st_mode) == 0o600


def test_write_private_replaces_a_readable_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o644)
    write_private(path, "new")
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_directory_has_one_lock(tmp_path: Path) -> None:
    with lock_directory(StackLayout(tmp_path)), pytest.raises(StackError, match="already runs"):
        lock_directory(StackLayout(tmp_path)).__enter__()
    with lock_directory(StackLayout(tmp_path)):
        pass


def test_directory_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(StackError, match=r"not a stack's directory: it contains thesis\.tex"):
        lock_directory(StackLayout(tmp_path)).__enter__()
    assert os.listdir(tmp_path) == ["thesis.tex"]


def test_directory_that_cannot_be_created_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StackError, match=r"cannot use .*: Not a directory"):
        lock_directory(StackLayout(tmp_path / "file" / "stack")).__enter__()
