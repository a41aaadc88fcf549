"""What a kind of job gets to do its work, and what it yields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from accounts.models import User


class JobFailed(Exception):
    """The job ended without success. The message is a sentence for the operator."""


class JobCancelled(Exception):
    """An operator cancelled the job. The message says who."""


@dataclass(frozen=True, slots=True)
class Step:
    """A part of the work that is done and committed. It is repeated if the worker dies before it is saved."""

    checkpoint: Mapping[str, Any]  # JSON: from where the work goes on after this step
    done: int = 0  # items
    figures: Mapping[str, int] = field(default_factory=dict)  # added to those of the job
    lines: Sequence[str] = ()  # for the job's log


@dataclass(slots=True)
class Progress:
    """How far a job has come. The task result holds it as JSON."""

    done: int = 0
    total: int | None = None  # None until the first slice has counted
    figures: dict[str, int] = field(default_factory=dict)

    def add(self, step: Step) -> None:
        self.done += step.done
        for name, number in step.figures.items():
            self.figures[name] = self.figures.get(name, 0) + number


@dataclass(frozen=True, slots=True)
class Work:
    """The input of a slice."""

    arguments: Mapping[str, Any]
    checkpoint: Mapping[str, Any]  # of the last step, or empty
    operator: User  # who started the job; may not exist any more

    @property
    def dry_run(self) -> bool:
        return bool(self.arguments.get("dry_run"))

    @property
    def rate(self) -> int | None:
        """Items per second, at most."""
        return self.arguments.get("rate")

    def batch_size(self, maximum: int) -> int:
        """Return how many items a step may have: `maximum`, or one second's worth if the rate allows fewer."""
        return min(maximum, self.rate) if self.rate else maximum
