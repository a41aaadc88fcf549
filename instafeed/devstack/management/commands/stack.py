"""`manage.py stack`: run the whole system in the foreground, in one directory, until Ctrl-C or SIGTERM."""

from __future__ import annotations

import os
import shlex
import shutil
import time
from argparse import ArgumentTypeError
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from signal import SIGTERM
from typing import Any, NoReturn
from urllib.parse import unquote

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.migrations.loader import MigrationLoader

from instafeed.devstack import demo_credentials, state, static_files
from instafeed.devstack.child_process import Child, stop_children
from instafeed.devstack.data_services import DataServices
from instafeed.devstack.ports import is_free
from instafeed.devstack.programs import Beat, ManagementCommand, Web, is_healthy, workers
from instafeed.devstack.state import StackError
from instafeed.devstack.supervisor import StopRequested, StopSignals, Supervisor

_STOP_TIMEOUT = 90  # seconds; longer than the sum of all children's grace periods
_HEALTH_TIMEOUT = 60  # seconds
_FEED_EXAMPLE = """\
curl -s {base}/api/v1/feed -H "Authorization: Bearer $(
  curl -s {base}/api/v1/auth/token -H 'Content-Type: application/json' \\
    -d '{{"username": "{user}", "password": "{password}"}}' | sed 's/.*"access": *"\\([^"]*\\)".*/\\1/')"
"""


class Command(BaseCommand):
    help = "Run the whole system: PostgreSQL with a replica, two Redis servers, web, Celery workers, beat."
    requires_system_checks = ()  # they may need services, which do not run yet
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=_parse_port, default=8000, help="of the web server on 127.0.0.1")
        parser.add_argument("--data-dir", type=Path, default=settings.STACK_DIR, help="default: var/stack")
        parser.add_argument("--empty", action="store_true", help="do not create the demo network")
        parser.add_argument(
            "--data-only", action="store_true", help="start PostgreSQL and Redis only, to restore a backup"
        )
        parser.add_argument("--web-workers", type=_parse_count, default=max(2, os.cpu_count() or 1), metavar="N")
        parser.add_argument("--celery-workers", type=_parse_count, default=max(2, os.cpu_count() or 1), metavar="N")
        parser.add_argument("--no-sync", action="store_true", help="faster, but a power cut may damage the data")
        parser.add_argument("--env", action="store_true", help="print the running stack's environment for a shell")
        parser.add_argument("--stop", action="store_true", help="stop the running stack and wait for its end")

    def handle(self, *args: Any, **options: Any) -> None:
        data_dir: Path = options["data_dir"].absolute()
        try:
            if options["env"]:
                self._print_environment(data_dir)
            elif options["stop"]:
                self._stop(data_dir)
            else:
                self._run(data_dir, options)
        except StackError as error:
            raise CommandError(f"stack: {error}") from None

    def _print_environment(self, data_dir: Path) -> None:
        environment = state.running_environment(data_dir)
        if environment is None:
            raise StackError(f"no stack runs in {data_dir}")
        for name, value in environment.items():
            self.stdout.write(f"{name}={shlex.quote(value)}")

    def _stop(self, data_dir: Path) -> None:
        record = state.running_record(data_dir)
        if record is None:
            raise StackError(f"no stack runs in {data_dir}")
        with suppress(ProcessLookupError):
            os.kill(record.supervisor.pid, SIGTERM)
        deadline = time.monotonic() + _STOP_TIMEOUT
        while record.supervisor.alive():
            if time.monotonic() > deadline:
                raise StackError(f"the stack in {data_dir} has not stopped (pid {record.supervisor.pid})")
            time.sleep(0.05)

    def _run(self, data_dir: Path, options: dict[str, Any]) -> None:
        """Check all conditions before anything is written, then run until a stop is requested."""
        port = options["port"]
        if state.running_record(data_dir) is not None:
            raise StackError(f"a stack already runs in {data_dir}")
        _require_free_port(port)
        if settings.HAS_OWN_SERVICES:
            self._say("DATABASE_URL and REDIS_URL are set, but the stack uses its own services.")
        with StopSignals() as signals:
            try:
                self._run_until_stopped(data_dir, signals, port, options)
            except StopRequested:
                self._say("Stopped.")

    def _run_until_stopped(self, data_dir: Path, signals: StopSignals, port: int, options: dict[str, Any]) -> None:
        services = DataServices(data_dir, port=port, fsync=not options["no_sync"], sleep=signals.sleep)
        with ExitStack() as running:
            with self._step("PostgreSQL with a streaming replica, Redis for cache and broker"):
                running.enter_context(services)
            running.callback(self._say, "Stopping ...")
            if options["data_only"]:
                self._serve_data(services, signals)
            self._prepare(services, signals, empty=options["empty"])
            self._serve(services, signals, port, options)

    def _serve_data(self, services: DataServices, signals: StopSignals) -> NoReturn:
        """Run the data services only, for an operator who restores a backup. The next start runs the migrations."""
        if services.layout.unfinished.exists():  # or the next start would empty the restored database
            services.reset()
            services.layout.unfinished.unlink()
        env = f"`manage.py stack --env --data-dir {shlex.quote(str(services.layout.root))}`"
        self._say(f"\nRunning.  Data services only; {env} prints their URLs.\nCtrl-C stops everything.")
        self._watch(services, signals, [])

    def _prepare(self, services: DataServices, signals: StopSignals, *, empty: bool) -> None:
        """Run the migrations, collect static files and, at the first start, create the demo network.

        An interrupted first start begins again with an empty database. The marker file `unfinished` allows that, and
        only a new cluster gets the marker, so no other database is ever emptied.
        """
        layout, environment = services.layout, services.environment
        if services.created:
            layout.unfinished.touch()
        elif layout.unfinished.exists():
            services.reset()
        else:
            _require_known_migrations(services)
        is_collected = static_files.are_collected(layout.static)
        collecting = ManagementCommand(layout, environment, "collectstatic", "--noinput")
        if not is_collected:
            services.track(collecting)
            collecting.launch()
        try:
            with self._step("Migrations"):
                self._manage(services, signals, "migrate", "--noinput")
            if not empty and not layout.seeded.exists():
                self._seed(services, signals)
            if not is_collected:
                with self._step("Static files"):
                    collecting.finish(signals.sleep)
                static_files.mark_collected(layout.static)
        finally:
            collecting.stop()
        layout.unfinished.unlink(missing_ok=True)

    def _seed(self, services: DataServices, signals: StopSignals) -> None:
        """Create the demo network. A directory that was started with --empty may have users; then it stays as it is."""
        try:
            with self._step("Demo network (first start only)"):
                self._manage(services, signals, "seed_demo")
        except StackError as error:
            if services.layout.unfinished.exists():
                raise
            self._say(f"Not seeded: {error}")
        else:
            services.layout.seeded.touch()

    def _manage(self, services: DataServices, signals: StopSignals, *command: str) -> None:
        program = ManagementCommand(services.layout, services.environment, *command)
        services.track(program)
        program.run(signals.sleep)

    def _serve(self, services: DataServices, signals: StopSignals, port: int, options: dict[str, Any]) -> None:
        layout, environment = services.layout, services.environment
        shutil.rmtree(layout.metrics, ignore_errors=True)  # metrics of processes that have ended
        web = Web(layout, environment, port, options["web_workers"])
        programs = [
            web,
            *workers(layout, environment, port, options["celery_workers"]),
            Beat(layout, environment),
        ]
        try:
            with self._step("Web server, Celery workers and beat"):
                for program in programs:
                    services.track(program)
                    program.launch()
                web.wait_ready(timeout=180, sleep=signals.sleep)
                _wait_until_healthy(port, signals)
            self._print_welcome(port, demo_network=layout.seeded.exists() and not options["empty"])
            self._print_mail(environment["EMAIL_URL"])
            self._say("Ctrl-C stops everything and keeps the data.")
            self._watch(services, signals, programs)
        finally:
            stop_children(programs)

    def _watch(self, services: DataServices, signals: StopSignals, programs: Sequence[Child]) -> NoReturn:
        Supervisor(
            [*services.children, *programs],
            sleep=signals.sleep,
            say=self._say,
            chores=[services.replica.mend, lambda: self._stop_if_deleted(services.layout.record)],
        ).watch()

    def _stop_if_deleted(self, record: Path) -> None:
        """Stop the stack if its directory was deleted, as it could not start anything there."""
        if not record.exists():
            self._say(f"{record} is gone, so the stack stops.")
            raise StopRequested

    def _print_welcome(self, port: int, *, demo_network: bool) -> None:
        """Print the URLs, and for the demo network how to sign in."""
        base = f"http://127.0.0.1:{port}"
        self._say(f"\nRunning.  API {base}/api/v1/   docs {base}/docs   admin {base}/admin/")
        if demo_network:
            self._say(
                f"Sign in as {demo_credentials.DEMO_USERNAME} / {demo_credentials.DEMO_PASSWORD}"
                f" (in the admin: {', '.join(demo_credentials.STAFF)} / {demo_credentials.ADMIN_PASSWORD})."
                " This prints the demo user's feed, pushed and pulled:\n\n"
                + _FEED_EXAMPLE.format(
                    base=base, user=demo_credentials.DEMO_USERNAME, password=demo_credentials.DEMO_PASSWORD
                )
            )

    def _print_mail(self, url: str) -> None:
        """Print where mails go. The URL of a mail server may contain a password."""
        scheme, _, directory = url.partition(":")
        self._say(
            f"Mails are files in {unquote(directory)}/" if scheme == "file" else f"Mails go to EMAIL_URL ({scheme})."
        )

    def _say(self, line: str) -> None:
        with suppress(OSError):  # the terminal may be closed; the stop must stay orderly
            self.stdout.write(line)
            self.stdout.flush()

    @contextmanager
    def _step(self, name: str) -> Iterator[None]:
        """Print the step's name, then how long it took."""
        started = time.monotonic()
        with suppress(OSError):
            self.stdout.write(f"{name} ... ", ending="")
            self.stdout.flush()
        try:
            yield
        except BaseException:
            self._say("")
            raise
        self._say(f"{time.monotonic() - started:.1f} s")


def _wait_until_healthy(port: int, signals: StopSignals) -> None:
    """Wait until the workers and beat work too, but not for ever: /health says what is missing."""
    deadline = time.monotonic() + _HEALTH_TIMEOUT
    while time.monotonic() < deadline and not is_healthy(port):
        signals.sleep(0.2)


def _require_known_migrations(services: DataServices) -> None:
    """Raise StackError if the database was built by migrations that this version does not have."""
    with services.primary.connect(services.primary.url()) as connection:
        if connection.execute("SELECT to_regclass('django_migrations') IS NULL").fetchone() == (True,):
            return
        applied = set(connection.execute("SELECT app, name FROM django_migrations").fetchall())
    if applied - MigrationLoader(None).disk_migrations.keys():
        directory = shlex.quote(str(services.layout.root))
        raise StackError(
            f"the data were saved by an older version: remove them with `rm -r {directory}`, then start again"
        )


def _require_free_port(port: int) -> None:
    try:
        free = is_free(port)
    except PermissionError:
        raise StackError(f"port {port} needs more rights than this account has: choose another --port") from None
    if not free:
        raise StackError(f"port {port} is taken: choose another --port")


def _parse_port(text: str) -> int:
    return _parse_whole_number(text, 65_535)


def _parse_count(text: str) -> int:
    return _parse_whole_number(text, 256)


def _parse_whole_number(text: str, highest: int) -> int:
    if not (text.isascii() and text.isdecimal()) or not 1 <= int(text) <= highest:
        raise ArgumentTypeError(f"must be a whole number from 1 to {highest}, not {text!r}")
    return int(text)
