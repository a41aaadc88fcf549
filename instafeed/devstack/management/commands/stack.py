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

from instafeed.core import env
from instafeed.devstack import demo_credentials, state, static_files
from instafeed.devstack.child_process import Child, stop_children
from instafeed.devstack.data_services import DataServices
from instafeed.devstack.ports import free_port, is_free
from instafeed.devstack.programs import Beat, ManagementCommand, Stream, Web, is_healthy, workers
from instafeed.devstack.state import StackError
from instafeed.devstack.supervisor import StopRequested, StopSignals, Supervisor
from instafeed.devstack.welcome import welcome_text

_STOP_TIMEOUT = 90  # seconds; longer than the sum of all children's grace periods
_HEALTH_TIMEOUT = 60  # seconds
_START_TIMEOUT = 300  # seconds; as for the data services


class Command(BaseCommand):
    help = "Run the whole system: PostgreSQL with replicas, two Redis servers, web, streams, Celery workers, beat."
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
        parser.add_argument(
            "--replicas", type=_parse_replica_count, default=1, metavar="N", help="streaming replicas of PostgreSQL"
        )
        parser.add_argument(
            "--redis-nodes", type=_parse_count, default=0, metavar="N", help="a Redis Cluster of N servers as the cache"
        )
        parser.add_argument("--no-sync", action="store_true", help="faster, but a power cut may damage the data")
        parser.add_argument("--env", action="store_true", help="print the running stack's environment for a shell")
        parser.add_argument("--wait", action="store_true", help="with --env: until its data services answer")
        parser.add_argument("--stop", action="store_true", help="stop the running stack and wait for its end")

    def handle(self, *args: Any, **options: Any) -> None:
        data_dir: Path = options["data_dir"].absolute()
        try:
            if options["env"]:
                self._print_environment(data_dir, wait=options["wait"])
            elif options["stop"]:
                self._stop(data_dir)
            else:
                self._run(data_dir, options)
        except StackError as error:
            raise CommandError(f"stack: {error}") from None

    def _print_environment(self, data_dir: Path, *, wait: bool) -> None:
        deadline = time.monotonic() + (_START_TIMEOUT if wait else 0)
        while (environment := state.running_environment(data_dir)) is None and time.monotonic() < deadline:
            time.sleep(0.1)
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
        self._signals = StopSignals()
        if settings.HAS_OWN_SERVICES or env.is_set_aside("DATABASE_URL") or env.is_set_aside("REDIS_URL"):
            self._say("DATABASE_URL and REDIS_URL are set, but the stack uses its own services.")
        with self._signals as signals:
            try:
                self._run_until_stopped(data_dir, signals, port, options)
            except StopRequested:
                self._say("Stopped.")

    def _run_until_stopped(self, data_dir: Path, signals: StopSignals, port: int, options: dict[str, Any]) -> None:
        replicas = options["replicas"]
        services = DataServices(
            data_dir,
            port=port,
            fsync=not options["no_sync"],
            sleep=signals.sleep,
            replicas=replicas,
            redis_nodes=options["redis_nodes"],
        )
        with ExitStack() as running:
            shown = "a streaming replica" if replicas == 1 else f"{replicas} streaming replicas"
            with self._step(f"PostgreSQL with {shown}, Redis for cache and broker"):
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
        stream_port = _choose_stream_port(port)
        web = Web(layout, environment, port, options["web_workers"], stream_port=stream_port)
        stream = Stream(layout, environment, stream_port, web_port=port)
        programs = [
            web,
            stream,
            *workers(layout, environment, port, options["celery_workers"]),
            Beat(layout, environment),
        ]
        try:
            with self._step("Web server, streams, Celery workers and beat"):
                for program in programs:
                    services.track(program)
                    program.launch()
                for server in (web, stream):
                    server.wait_ready(timeout=180, sleep=signals.sleep)
                _wait_until_healthy(port, signals)
            has_demo = layout.seeded.exists() and not options["empty"]
            self._say(welcome_text(port, _usable_demo_names(services) if has_demo else []))
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
            chores=[
                *(replica.mend for replica in services.replicas),
                lambda: self._stop_if_deleted(services.layout.record),
            ],
        ).watch()

    def _stop_if_deleted(self, record: Path) -> None:
        """Stop the stack if its directory was deleted, as it could not start anything there."""
        if not record.exists():
            self._say(f"{record} is gone, so the stack stops.")
            raise StopRequested

    def _print_mail(self, url: str) -> None:
        """Print where mails go. The URL of a mail server may contain a password."""
        scheme, _, directory = url.partition(":")
        self._say(
            f"Mails are files in {unquote(directory)}/" if scheme == "file" else f"Mails go to EMAIL_URL ({scheme})."
        )

    def _say(self, line: str) -> None:
        self._write(line, "\n")

    def _write(self, text: str, ending: str) -> None:
        """Write to the standard output. If its reader has gone (`stack | head`), request an orderly stop."""
        try:
            self.stdout.write(text, ending=ending)
            self.stdout.flush()
        except BrokenPipeError:
            self._signals.request_stop()
        except OSError:  # the terminal was closed; its signal requests the stop
            pass

    @contextmanager
    def _step(self, name: str) -> Iterator[None]:
        """Print the step's name, then how long it took."""
        started = time.monotonic()
        self._write(f"{name} ... ", "")
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


def _choose_stream_port(port: int) -> int:
    """Return the next port if it is free: easy to guess for a person. Programs ask GET /instance."""
    return port + 1 if port < 65_535 and is_free(port + 1) else free_port()


def _usable_demo_names(services: DataServices) -> list[str]:
    with services.primary.connect(services.primary.url()) as connection:
        return demo_credentials.usable_names(connection)


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


def _parse_replica_count(text: str) -> int:
    return _parse_whole_number(text, state.MAX_REPLICAS)


def _parse_count(text: str) -> int:
    return _parse_whole_number(text, 256)


def _parse_whole_number(text: str, highest: int) -> int:
    if not (text.isascii() and text.isdecimal()) or not 1 <= int(text) <= highest:
        raise ArgumentTypeError(f"must be a whole number from 1 to {highest}, not {text!r}")
    return int(text)
