"""`manage.py stack`: start, output, recovery, refusals and stop."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
import pytest
from django.core.management import CommandError, call_command

from instafeed.devstack.child_process import has_ended
from instafeed.devstack.ports import free_port
from instafeed.devstack.state import PROJECT_ROOT, StackLayout, running_environment, running_record
from tests.support import prebuilt_data
from tests.support.eventually import eventually
from tests.support.processes import clean_environment, manage
from tests.support.stack_command import STOP_TIMEOUT, StackCommand

# Each start runs a dozen processes: seconds on an idle machine, much longer on a busy one.
pytestmark = [pytest.mark.xdist_group("stack-command"), pytest.mark.timeout(600)]


def wait_until_ended(processes: list[psutil.Process]) -> None:
    eventually(lambda: all(has_ended(process) for process in processes))


def assert_stopped_in_order(
    stack: StackCommand, everything: list[psutil.Process], children: list[psutil.Process]
) -> None:
    """Assert that the supervisor ended without an error, after its children."""
    assert stack.supervisor.wait(STOP_TIMEOUT) == 0, stack.output
    assert all(has_ended(child) for child in children)
    wait_until_ended(everything)
    assert stack.output.rstrip().endswith("Stopped.")
    assert "Traceback" not in stack.output


def assert_refused(reason: str, data_dir: Path, **options: Any) -> None:
    with pytest.raises(CommandError, match=reason):
        call_command("stack", data_dir=data_dir, empty=True, **options)


def test_interrupted_start_recovery_restart_and_deleted_directory(directory: Path) -> None:
    """One test for several things, as each start takes seconds."""
    with StackCommand(directory, "--web-workers", "1", "--celery-workers", "1", "--replicas", "2") as stack:
        stack.launch()
        eventually(lambda: migrates(stack))
        everything, children = stack.processes(), stack.children()
        stack.supervisor.send_signal(signal.SIGTERM)
        assert_stopped_in_order(stack, everything, children)

        stack.start()
        assert stack.get("/health/live").status_code == 200
        assert f"{stack.base_url}/docs" in stack.output
        assert "Sign in as" not in stack.output  # --empty has no demo user

        output = manage("stack", "--env", "--data-dir", str(stack.data_dir)).stdout
        assignments = dict(line.split("=", 1) for line in output.splitlines())
        assert assignments == running_environment(stack.data_dir)

        assert len(stack.environment["DATABASE_REPLICA_URLS"].split(",")) == 2
        assert {"replica", "replica2"} <= stack.record.children.keys()

        assert_refused("a stack already runs in", stack.data_dir, port=free_port())

        worker, web = stack.process("worker"), stack.process("web")
        left_behind, pids = [*worker.children(), *web.children()], {"worker": worker.pid, "web": web.pid}
        worker.kill()
        web.kill()
        wait_until_ended([worker, web, *left_behind])
        eventually(lambda: all(stack.record.children[old].pid != pid for old, pid in pids.items()))
        eventually(lambda: is_alive(stack))

        secret, everything = stack.environment["SECRET_KEY"], stack.processes()
        stack.stop(signal.SIGKILL)
        wait_until_ended(everything)

        assert "Static files" in stack.output
        old_metrics = StackLayout(stack.data_dir).metrics / "counter_1.db"
        old_metrics.touch()
        stack.start()
        assert stack.environment["SECRET_KEY"] == secret
        assert not old_metrics.exists(), "a restart begins with empty metrics"
        assert "Static files" not in stack.output, "they are collected already"
        everything, children = stack.processes(), stack.children()
        shutil.rmtree(stack.data_dir, ignore_errors=True)
        assert_stopped_in_order(stack, everything, children)
        assert "is gone, so the stack stops" in stack.output


def migrates(stack: StackCommand) -> bool:
    """Return whether the migrations of the start are running."""
    record = running_record(stack.data_dir)
    return record is not None and "migrate" in record.children and record.children["migrate"].alive()


def is_alive(stack: StackCommand) -> bool:
    try:
        return stack.get("/health/live").status_code == 200
    except httpx.TransportError:
        return False


def test_stop_option_and_refusal_of_data_of_an_older_version(directory: Path) -> None:
    prebuilt_data.copy_stack_directory(directory)
    with StackCommand(directory, "--data-only") as stack:
        stack.start()
        with psycopg.connect(stack.environment["DATABASE_URL"]) as database:
            database.execute(
                "INSERT INTO django_migrations (app, name, applied) VALUES ('posts', '0002_engagement', now())"
            )
        everything, children = stack.processes(), stack.children()
        result = manage("stack", "--stop", "--data-dir", str(directory))
        assert (result.returncode, result.stderr) == (0, "")
        assert_stopped_in_order(stack, everything, children)
    assert_refused("no stack runs in", directory, stop=True)

    with pytest.raises(CommandError) as error:
        call_command("stack", data_dir=directory, empty=True, port=free_port())
    assert str(error.value) == (
        f"stack: the data were saved by an older version: remove them with `rm -r {directory}`, then start again"
    )


def test_error_is_one_line_and_status_1(directory: Path) -> None:
    result = manage("stack", "--stop", "--data-dir", str(directory))
    assert result.returncode == 1
    assert result.stderr.splitlines() == [f"CommandError: stack: no stack runs in {directory}"]


@pytest.mark.parametrize("option", ["--stop", "--env"])
def test_running_stack_is_found_without_valid_settings(directory: Path, option: str) -> None:
    """`eval "$(manage.py stack --env)"; export DATABASE_URL` must not break the next command."""
    settings = {"DATABASE_URL": "postgresql://127.0.0.1:1/other", "FEED_LENGTH": "none"}
    result = manage("stack", option, "--data-dir", str(directory), environment=settings)
    assert result.stderr.splitlines() == [f"CommandError: stack: no stack runs in {directory}"]


def test_addresses_of_other_services_do_not_prevent_a_start(directory: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        environment = {"DATABASE_URL": "postgresql://127.0.0.1:1/other"}
        result = manage("stack", "--port", str(port), "--data-dir", str(directory), environment=environment)
    assert f"port {port} is taken" in result.stderr


def test_taken_port_is_refused_before_anything_is_written(directory: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert_refused(f"port {taken.getsockname()[1]} is taken", directory / "new", port=taken.getsockname()[1])
    assert not (directory / "new").exists()


def test_unusable_directory_is_refused(directory: Path) -> None:
    (directory / "file").touch()
    assert_refused("cannot use .*: Not a directory", directory / "file" / "stack", port=free_port())
    assert_refused("not a stack's directory", directory, port=free_port())
    assert os.listdir(directory) == ["file"]


def test_env_option_without_a_running_stack(directory: Path) -> None:
    assert_refused("no stack runs in", directory, env=True)


@pytest.mark.parametrize("port", ["0", "70000", "http", "-1", "8000.5", "\N{ARABIC-INDIC DIGIT EIGHT}000"])
def test_invalid_port_is_refused(directory: Path, port: str) -> None:
    with pytest.raises(CommandError, match="must be a whole number from 1 to 65535"):
        call_command("stack", f"--port={port}", f"--data-dir={directory / 'new'}")
    assert not (directory / "new").exists()


def run_unprivileged(directory: Path, code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            *(str(shutil.which("setpriv")), "--reuid=65534", "--regid=65534", "--clear-groups"),
            *(sys.executable, "-c", code, str(directory)),
        ],
        cwd=PROJECT_ROOT,
        env=clean_environment(HOME=str(directory)),
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_ordinary_account_can_run_it(directory: Path) -> None:
    """Under root, the other tests run PostgreSQL as another account; here all of it runs unprivileged."""
    if os.geteuid() != 0:
        pytest.skip("the other tests already run under an ordinary account")
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv is not installed, so the test cannot drop root")
    if sys.base_prefix not in run_unprivileged(directory, "import sys; print(sys.base_prefix)").stdout:
        pytest.skip("ordinary accounts cannot run this Python")
    os.chown(directory, 65534, 65534)
    code = (
        "import sys; from pathlib import Path; from instafeed.devstack.data_services import DataServices\n"
        "with DataServices(Path(sys.argv[1]), fsync=False) as s: print(s.replica.ready())"
    )
    result = run_unprivileged(directory, code)
    assert result.stdout == "True\n", result.stderr


def test_stack_stops_in_order_when_its_output_has_no_reader(directory: Path) -> None:
    """As `manage.py stack | head` when `head` has ended.

    The end of a server is something to say, also if the stack has said everything else before `head` ended.
    """

    def find_redis() -> list[psutil.Process]:
        return [
            process
            for process in psutil.process_iter(["ppid", "name"])
            if (process.info["ppid"], process.info["name"]) == (stack.pid, "redis-server")
        ]

    reader, output = os.pipe()
    with subprocess.Popen(
        [sys.executable, "manage.py", "stack", "--data-dir", str(directory), "--data-only", "--no-sync"],
        cwd=PROJECT_ROOT,
        env=clean_environment(),
        stdout=output,
        stderr=subprocess.PIPE,
    ) as stack:
        os.close(output)
        assert os.read(reader, 10) == b"PostgreSQL"
        eventually(find_redis)
        children = psutil.Process(stack.pid).children(recursive=True)
        redis = find_redis()[0]
        os.close(reader)
        with suppress(psutil.NoSuchProcess):  # the stack has stopped it already
            redis.kill()
        _, errors = stack.communicate(timeout=300)
    assert (stack.returncode, errors) == (0, b"")
    assert running_record(directory) is None
    wait_until_ended(children)
