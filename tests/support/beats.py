"""Real beats with the scheduler that holds a lease."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import redis

from instafeed.devstack.state import PROJECT_ROOT
from tests.support.cache import patient_url
from tests.support.eventually import eventually

BEAT = (sys.executable, "-m", "celery", "-q", "-A", "instafeed", "beat", "--pidfile=")
SCHEDULER = ("--scheduler", "instafeed.core.jobs.beat_scheduler:LeasedScheduler")


class Beats:
    """Beats, and the tasks that they have sent to the queue `maintenance`."""

    def __init__(self, directory: Path, broker: redis.Redis) -> None:
        self._directory, self._broker = directory, broker
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, **environment: str) -> int:
        """Return the process id of a new beat."""
        number = len(self.processes)
        with self.log(number).open("wb") as log:
            process = subprocess.Popen(
                [*BEAT, *SCHEDULER, "--schedule", str(self._directory / f"{number}.schedule")],
                cwd=PROJECT_ROOT,
                env={
                    **os.environ,
                    "DJANGO_SETTINGS_MODULE": "instafeed.settings",
                    "LOG_LEVEL": "INFO",
                    # Each beat sends the tasks if Redis does not answer in time, which a busy machine may cause.
                    "REDIS_URL": patient_url(os.environ["REDIS_URL"]),
                    **environment,
                },
                stdout=log,
                stderr=log,
            )
        self.processes.append(process)
        return process.pid

    def log(self, number: int) -> Path:
        return self._directory / f"{number}.log"

    def senders(self) -> list[int]:
        """Return the process ids of the beats that sent the waiting tasks."""
        messages = [json.loads(message) for message in self._broker.lrange("maintenance", 0, -1)]
        return [int(re.match(r"gen(\d+)@", message["headers"]["origin"])[1]) for message in messages]  # type: ignore[index]

    def wait_for_another(self, number: int) -> None:
        """Wait until this beat says that it leaves the tasks to another one."""
        eventually(lambda: "another beat sends the periodic tasks" in self.log(number).read_text())

    def wait_for_tasks(self, sender: int, count: int) -> None:
        """Forget the waiting tasks, and wait until this beat has sent so many."""
        self._broker.delete("maintenance")
        eventually(lambda: self.senders().count(sender) >= count)

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()
