"""What lies in a stack's directory, and whether a stack is alive there.

The settings ask `running_environment()` at every start of every command, so this module imports the
standard library only and never waits. One directory holds at most one stack: whoever holds the lock
is the only writer of the record (`stack.json`), which names its processes and, once the data services
answer, the environment that reaches them. A pid alone proves nothing, as the system hands it out
again: a process is known by its pid *and* its start time.
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


class StackError(Exception):
    """Why the stack cannot do what it was asked to; str() is the one line that an operator reads."""


@dataclass(frozen=True)
class DataDirectory:
    """The names in a data directory; nothing is created by asking for one."""

    root: Path

    @property
    def primary(self) -> Path:
        return self.root / "primary"

    @property
    def new_primary(self) -> Path:
        """Where a cluster is made before a rename turns it into `primary`, which is never half there."""
        return self.root / "primary.new"

    @property
    def replica(self) -> Path:
        return self.root / "replica"

    @property
    def passfile(self) -> Path:
        return self.root / "replication.pgpass"

    @property
    def initdb_password(self) -> Path:
        return self.root / "initdb.pw"

    @property
    def cache(self) -> Path:
        return self.root / "cache"

    @property
    def broker(self) -> Path:
        return self.root / "broker"

    @property
    def log(self) -> Path:
        return self.root / "log"

    @property
    def media(self) -> Path:
        return self.root / "media"

    @property
    def static(self) -> Path:
        return self.root / "static"

    @property
    def beat(self) -> Path:
        return self.root / "beat"

    @property
    def metrics(self) -> Path:
        """What the web and Celery processes count."""
        return self.root / "metrics"

    @property
    def lock(self) -> Path:
        return self.root / "stack.lock"

    @property
    def record(self) -> Path:
        return self.root / "stack.json"

    @property
    def secrets(self) -> Path:
        return self.root / "secrets.json"

    @property
    def seeded(self) -> Path:
        """Present once the demo network is complete."""
        return self.root / "seeded"

    @property
    def unfinished(self) -> Path:
        """Present while the database holds nothing but what a first start is putting there."""
        return self.root / "unfinished"

    def names(self) -> set[str]:
        properties = (name for name, value in vars(DataDirectory).items() if isinstance(value, property))
        return {getattr(self, name).name.removesuffix(".new") for name in properties}


@dataclass(frozen=True)
class ProcessIdentity:
    """A process, safe against recycled pids."""

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
        """None if there is none that this user may read; a damaged one counts as none."""
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
    """The record of the stack that is alive in this directory, be it still starting."""
    record = StackRecord.read(DataDirectory(data_dir).record)
    return record if record is not None and record.supervisor.alive() else None


def running_environment(data_dir: Path) -> dict[str, str] | None:
    """DATABASE_URL, DATABASE_REPLICA_URLS, REDIS_URL, CELERY_BROKER_URL, SECRET_KEY, MEDIA_ROOT and
    INSTAFEED_STATIC_ROOT of the stack whose data services run in this directory, else None."""
    record = running_record(data_dir)
    return record.environment if record is not None and record.environment else None


def process_start_time(pid: int) -> str | None:
    """An opaque text for when this process began; None if it does not run (a zombie does not)."""
    if sys.platform != "linux":
        answer = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True)
        return answer.stdout.strip() or None
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The second field is the program's name and may hold blanks and brackets: count from its end.
    fields = stat.rpartition(")")[2].split()
    state, started = fields[0], fields[19]
    return None if state in "ZX" else started


@contextlib.contextmanager
def lock_directory(layout: DataDirectory) -> Iterator[None]:
    """Holds the directory for this process, creating it if need be; StackError if another one holds it.

    The lock ends with the process however it ends, and children do not inherit it.
    """
    try:
        layout.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        foreign = {name.removesuffix(".new") for name in os.listdir(layout.root)} - layout.names()
        if foreign:
            raise StackError(f"{layout.root} is not a stack's directory: it holds {min(foreign)}")
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


def load_or_create_secrets(layout: DataDirectory, *names: str) -> dict[str, str]:
    """Random texts (letters, digits, `-` and `_`) by name: made once for a directory, the same ever after."""
    known: dict[str, Any] = {}
    with contextlib.suppress(FileNotFoundError):
        known = json.loads(layout.secrets.read_text())
    missing = {name: secrets.token_urlsafe(38) for name in names if name not in known}
    if missing:
        write_private(layout.secrets, json.dumps(known | missing, indent=1))
    return {name: (known | missing)[name] for name in names}


def write_private(path: Path, text: str) -> None:
    """Replaces the file at once and for its owner only: a reader sees the old text or the new one."""
    unfinished = path.with_name(path.name + ".new")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
