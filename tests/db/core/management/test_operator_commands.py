"""Rules that every operator command follows: dry run, one-line errors, resuming, progress output."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import get_commands, load_command_class
from django.db import connections
from pytest_django import Settings

from accounts.management.commands import reencrypt_secrets
from instafeed.core.management import base
from instafeed.demo import pictures
from instafeed.devstack.state import PROJECT_ROOT
from tests.db.core.management import scenarios
from tests.db.core.management.operator_cases import CASES, Case
from tests.db.core.management.scenarios import Snapshot, take_snapshot

pytestmark = pytest.mark.django_db

PROJECT_APPS = {"instafeed", "accounts", "social", "media", "exports", "posts", "feeds"}
every_command = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
COMMON_BAD_ARGUMENTS = (("--rate=0",), ("--rate=fast",), ("--unknown",))


@pytest.fixture(autouse=True)
def _small_site(monkeypatch: pytest.MonkeyPatch, settings: Settings, tmp_path: Path) -> None:
    monkeypatch.setattr(reencrypt_secrets, "BATCH_SIZE", 1)
    monkeypatch.setattr(pictures, "DRAWN_PICTURES", 1)
    monkeypatch.setattr(pictures, "AVATAR_PICTURES", 1)
    settings.MEDIA_ROOT = str(tmp_path / "media")
    settings.CELEBRITY_THRESHOLD = scenarios.CELEBRITY_THRESHOLD


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs a command like manage.py and returns (exit status, stdout, stderr)."""
    monkeypatch.setattr(connections, "close_all", lambda: None)  # keeps the test's transaction open

    def run(case: Case, *more: str, arguments: tuple[str, ...] | None = None) -> tuple[int, str, str]:
        paths = {"FILE": str(tmp_path / "edges.tsv"), "FOLDER": str(tmp_path / "none")}
        given = (*(case.arguments if arguments is None else arguments), *more)
        capsys.readouterr()
        monkeypatch.setattr(sys, "stdin", io.StringIO(case.stdin))
        return run_command(case.name, *(paths.get(word, word) for word in given)), *capsys.readouterr()

    return run


def run_command(name: str, *arguments: str) -> int:
    """Run a command like manage.py and return its exit status."""
    try:
        load_command_class(get_commands()[name], name).run_from_argv(["manage.py", name, *arguments])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_table_covers_every_command() -> None:
    own = [name for name, app in get_commands().items() if app.split(".")[0] in PROJECT_APPS]
    commands_by_name = {name: load_command_class(get_commands()[name], name) for name in own}
    operator_commands = [
        name for name, command in commands_by_name.items() if isinstance(command, base.OperatorCommand)
    ]
    assert sorted(operator_commands) == sorted(case.name for case in CASES)
    assert sorted(own) == sorted({*operator_commands, *OTHER_COMMANDS})


def test_readme_lists_every_command() -> None:
    listed = re.findall(
        r"^\| `(\w+)[^|]*` \|", (PROJECT_ROOT / "README.md").read_text().replace(r"\|", ""), re.MULTILINE
    )
    assert [case.name for case in CASES if case.name not in listed] == [], "add a row to README.md"


@every_command
def test_dry_run_changes_nothing(case: Case, run: Run, tmp_path: Path) -> None:
    case.set_up(tmp_path)
    before = take_snapshot()
    status, out, err = run(case, "--dry-run")
    assert changed_names(before, take_snapshot()) == []
    assert status == case.dry_run_status, err
    if status == 0:
        assert "Dry run: " in out, "the summary of a dry run begins with `Dry run: `"
    else:
        assert is_one_line(err), err
    assert run(case)[0] == 0
    assert changed_names(before, take_snapshot()) != []
    case.assert_done()


def changed_names(one: Snapshot, other: Snapshot) -> list[str]:
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


@every_command
def test_invalid_arguments_are_one_line_errors(case: Case, run: Run, tmp_path: Path) -> None:
    case.set_up(tmp_path)
    before = take_snapshot()
    for arguments in (*case.bad_arguments, *(case.arguments + bad for bad in COMMON_BAD_ARGUMENTS)):
        status, _, err = run(case, arguments=arguments)
        assert status == base.USAGE_ERROR_STATUS, (arguments, err)
        assert is_one_line(err) or case.name == "import_follows", (arguments, err)
        assert err.splitlines()[-1].startswith(("CommandError: ", f"{case.name}: ")), (arguments, err)
    assert changed_names(before, take_snapshot()) == []


@every_command
def test_what_the_data_do_not_allow_is_not_a_wrong_argument(case: Case, run: Run, tmp_path: Path) -> None:
    case.set_up(tmp_path)
    before = take_snapshot()
    for arguments in case.refused:
        status, _, err = run(case, arguments=arguments)
        assert (status, err.splitlines()[-1][:14]) == (1, "CommandError: "), arguments
    assert changed_names(before, take_snapshot()) == []


# Commands of this project that are no operator commands, with a wrong argument of each kind.
OTHER_COMMANDS = {
    "pg_client": ((), ("--unknown",)),
    "migrate": (("--unknown",), ("--database",), ("--database=nowhere",), ("--verbosity=9",)),
    "stack": (
        *(("--unknown",), ("more",), ("--port",), ("--port=http",), ("--port=65536",), ("--replicas=0",)),
        *(("--replicas=9",), ("--redis-nodes=many",), ("--web-workers=0",), ("--celery-workers=257",)),
    ),
}


@pytest.mark.parametrize("name", OTHER_COMMANDS)
def test_invalid_arguments_of_other_commands(name: str) -> None:
    for arguments in OTHER_COMMANDS[name]:
        assert run_command(name, *arguments) == base.USAGE_ERROR_STATUS, arguments


def is_one_line(text: str) -> bool:
    return text.count("\n") == 1 and text.endswith("\n") and "Traceback" not in text


@every_command
def test_interrupted_run_is_completed_by_the_next(
    case: Case, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case.set_up(tmp_path)
    (owner, name), calls = case.step, []
    step = getattr(owner, name)

    def interrupted(*arguments: Any, **options: Any) -> Any:
        calls.append(arguments)
        result = step(*arguments, **options)
        if len(calls) == case.interrupted_call:
            raise KeyboardInterrupt
        return result

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, interrupted)
        status, _, err = run(case)
    assert (status, is_one_line(err)) == (130, True), err
    assert not is_done(case), "the interruption came too late: change `step`, `interrupted_call` or the scenario"
    resume_options = re.findall(r"--after \d+", err)
    assert resume_options or "run again to resume" in err
    status, _, err = run(case, *" ".join(resume_options).split())
    assert (status, err) == (0, "")
    case.assert_done()


def is_done(case: Case) -> bool:
    try:
        case.assert_done()
    except AssertionError:
        return False
    return True


@every_command
def test_output_states_plan_progress_and_result(
    case: Case, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "PROGRESS_INTERVAL", 0)
    case.set_up(tmp_path)
    status, out, err = run(case)
    assert (status, err) == (0, "")
    first, *between, last = out.splitlines()
    assert re.match(r"[A-Z][a-z]+ing ", first), f"the first line does not say what will be done (`Doing …`): {first}"
    progress = r"[a-z' ]+: [\d,]+( of [\d,]+)?, [\d,]+/s"
    has_progress = any(re.fullmatch(progress, line) for line in between)
    assert has_progress or not case.has_progress, f"no progress line with a lower-case title: {between}"
    assert re.match(r"[A-Z].*\.$", last), f"the summary is not a sentence: {last}"
    assert not re.search(r"[\r\x1b]", out)


@every_command
def test_verbosity_0_hides_progress(case: Case, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With --verbosity 0 no progress line is written to a log."""
    monkeypatch.setattr(base, "PROGRESS_INTERVAL", 0)
    case.set_up(tmp_path)
    _, out, _ = run(case, "--verbosity=0")
    assert "/s\n" not in out
