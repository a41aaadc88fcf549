"""The files in a stack's directory, and whether a stack runs there.

The settings call `running_environment()` at every start of every command. So this module imports the standard library
only and never waits. A directory belongs to at most one running stack: the process with the lock is the only writer of
the record (`stack.json`). The record names the stack's processes and, once the data services answer, the environment
with their URLs. The system reuses pids, so a process is identified by its pid *and* its start time.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

PROJECT_ROOT = Path(__file__).resolve().parents[2]
DEFAULT_DATA_DIR = PROJECT_ROOT / "var" / "stack"
MAX_REPLICAS = 4


class StackError(Exception):
    """The stack cannot do what was requested. Its text is one line for the operator."""


class _StackPath:
    """A file or directory of `StackLayout`, by its name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, layout: StackLayout, owner: type[StackLayout]) -> Path:
        return layout.root / self.name


@dataclass(frozen=True)
class StackLayout:
    """The paths in a stack's directory. Reading a path creates nothing."""

    root: Path

    primary = _StackPath("primary")
    # The database cluster while initdb creates it. A rename to `primary` then makes it visible as a whole.
    new_primary = _StackPath("primary.new")
    passfile = _StackPath("replication.pgpass")
    initdb_password = _StackPath("initdb.pw")
    cache = _StackPath("cache")
    broker = _StackPath("broker")
    log = _StackPath("log")
    media = _StackPath("media")
    mail = _StackPath("mail")  # a file for each mail that was sent
    static = _StackPath("static")
    beat = _StackPath("beat")
    metrics = _StackPath("metrics")  # the metrics files of the web and Celery processes
    lock = _StackPath("stack.lock")
    record = _StackPath("stack.json")
    secrets = _StackPath("secrets.json")
    seeded = _StackPath("seeded")  # present once the demo network is complete
    unfinished = _StackPath("unfinished")  # present during the first start, while the database holds nothing else

    def names(self) -> set[str]:
        """Return the names of all files and directories that a stack creates."""
        names = {path.name.removesuffix(".new") for path in vars(StackLayout).values() if isinstance(path, _StackPath)}
        return names | {self.replica_name(number) for number in range(1, MAX_REPLICAS + 1)}

    @staticmethod
    def replica_name(number: int) -> str:
        """Return the name of a replica and of its directory: `replica`, `replica2`, …"""
        return "replica" if number == 1 else f"replica{number}"


@dataclass(frozen=True)
class ProcessIdentity:
    """A process by pid and start time, as the system reuses pids."""

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> ProcessIdentity:
        return cls(pid, process_start_time(pid) or "gone")

    def alive(self) -> bool:
        return process_start_time(self.pid) == self.started


@dataclass
class StackRecord:
    """`stack.json`: the supervisor, its children by name and, once they answer, the data services' URLs."""

    supervisor: ProcessIdentity
    port: int | None = None
    environment: dict[str, str] = field(default_factory=dict)
    children: dict[str, ProcessIdentity] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        write_private(path, json.dumps(asdict(self), indent=1))

    @classmethod
    def read(cls, path: Path) -> StackRecord | None:
        """Read the record. Return None if it is missing, unreadable or damaged."""
        try:
            raw = json.loads(path.read_text())
            return cls(
                supervisor=ProcessIdentity(**raw["supervisor"]),
                port=raw["port"],
                environment=dict(raw["environment"]),
                children={name: ProcessIdentity(**child) for name, child in raw["children"].items()},
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None


def running_record(data_dir: Path) -> StackRecord | None:
    """Return the record of the stack that runs, or is starting, in this directory, or None."""
    record = StackRecord.read(StackLayout(data_dir).record)
    return record if record is not None and record.supervisor.alive() else None


def running_environment(data_dir: Path) -> dict[str, str] | None:
    """Return the environment of the stack whose data services run in this directory, or None.

    It has DATABASE_URL, DATABASE_REPLICA_URLS, REDIS_URL, CELERY_BROKER_URL, SECRET_KEY, VAPID_PRIVATE_KEY,
    MEDIA_ROOT, INSTAFEED_STATIC_ROOT, EMAIL_URL and SITE_URL.
    """
    record = running_record(data_dir)
    return record.environment if record is not None and record.environment else None


def process_start_time(pid: int) -> str | None:
    """Return the process's start time as an opaque text; None if it does not run or is a zombie."""
    if sys.platform != "linux":
        result = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True)
        return result.stdout.strip() or None
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The second field is the program's name, which may contain spaces and brackets. Count from its end.
    fields = stat.rpartition(")")[2].split()
    state, started = fields[0], fields[19]
    return None if state in "ZX" else started


@contextlib.contextmanager
def lock_directory(layout: StackLayout) -> Iterator[None]:
    """Lock the directory for this process, and create it if necessary. Raises StackError if it is locked.

    The lock ends with the process, even if it is killed. Child processes do not inherit it.
    """
    try:
        layout.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        foreign = {name.removesuffix(".new") for name in os.listdir(layout.root)} - layout.names()
        if foreign:
            raise StackError(f"{layout.root} is not a stack's directory: it contains {min(foreign)}")
        descriptor = os.open(layout.lock, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StackError(f"cannot use {layout.root}: {error.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise StackError(f"a stack already runs in {layout.root}") from None
    finally:
        os.close(descriptor)


def load_or_create_secrets(layout: StackLayout, *names: str) -> dict[str, str]:
    """Return random secrets (letters, digits, `-`, `_`) by name. They are created once and stored in the directory."""
    stored: dict[str, Any] = {}
    with contextlib.suppress(FileNotFoundError):
        stored = json.loads(layout.secrets.read_text())
    missing = {name: secrets.token_urlsafe(38) for name in names if name not in stored}
    if missing:
        write_private(layout.secrets, json.dumps(stored | missing, indent=1))
    return {name: (stored | missing)[name] for name in names}


def write_private(path: Path, text: str) -> None:
    """Replace a file atomically, readable by its owner only."""
    unfinished = path.with_name(path.name + ".new")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
