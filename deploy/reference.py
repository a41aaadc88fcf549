"""Writes docs/configuration.md: `python -m deploy.reference > docs/configuration.md`, compared in `make check`.

Names, types, bounds and defaults are what the settings asked `instafeed.core.env` for while they were loaded; sections and
meanings are .env.example's. Where the two disagree, a line on stderr names the variable, and the status is 1.
"""

from __future__ import annotations

import os
import re
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from instafeed.core import env

ROOT = Path(__file__).resolve().parent.parent
VARIABLE_LINE = re.compile(r"(?:# )?([A-Z][A-Z0-9_]*)=(\S*)(?: # secret)?")
# With these all the others are asked for, whatever the environment that this runs in.
COMPLETE_ENVIRONMENT = {
    "DATABASE_URL": "postgresql://localhost/instafeed",
    "REDIS_URL": "redis://localhost",
    "CELERY_BROKER_URL": "redis://localhost",
    "SECRET_KEY": "only-to-have-the-settings-loaded-it-signs-nothing-at-all",
    "AWS_STORAGE_BUCKET_NAME": "instafeed",
    "AWS_DEFAULT_REGION": "eu-west-1",
}
PAGE_HEAD = """\
# Configuration

Every variable of the environment, written from the code by `make reference`; [.env.example](../.env.example) has the
same to copy. A wrong value stops the start with one line that names it. What is set to nothing is not set.

Beside these, boto3 reads its own (`AWS_PROFILE`, `AWS_SESSION_TOKEN` and others: its documentation has them), and libpq
takes more options in a `postgresql://` URL.
"""


class Entry(NamedTuple):
    section: str
    name: str
    value: str
    meaning: str


def main() -> None:
    read = read_variables()
    entries = list(example_entries())
    problems = list(disagreements(read, entries))
    if problems:
        sys.exit("\n".join(problems))
    sys.stdout.write(PAGE_HEAD)
    section = None
    for entry in entries:
        if entry.section != section:
            section = entry.section
            sys.stdout.write(f"\n## {section}\n\n| variable | type | default | meaning |\n| --- | --- | --- | --- |\n")
        sys.stdout.write(table_row(entry, read.get(entry.name)))


def read_variables() -> dict[str, env.Variable]:
    """All that the settings and gunicorn's configuration read."""
    os.environ.clear()
    os.environ.update(COMPLETE_ENVIRONMENT)
    import instafeed.settings  # noqa: F401

    runpy.run_path(str(ROOT / "deploy" / "gunicorn.conf.py"))
    return env.KNOWN_VARIABLES


def example_entries() -> Iterator[Entry]:
    """The lines of .env.example: `NAME=value`, commented out or not, each below the comment that says what it means."""
    section, meaning = "", []
    for line in (ROOT / ".env.example").read_text().splitlines():
        if title := re.fullmatch(r"# --- (.+?) -*", line):
            section, meaning = title[1], []
        elif variable := VARIABLE_LINE.fullmatch(line):
            yield Entry(section, variable[1], variable[2], " ".join(meaning))
            meaning = []
        elif comment := re.fullmatch(r"# (.+)", line):
            meaning.append(comment[1])
        elif not line:
            meaning = []


def disagreements(read: dict[str, env.Variable], entries: list[Entry]) -> Iterator[str]:
    compose = dict(re.findall(r"\$\{(\w+)(?::-([^{}$]*)\})?", (ROOT / "docker-compose.yml").read_text()))
    for entry in entries:
        variable = read.get(entry.name)
        if not entry.meaning or not entry.section:
            yield f"{entry.name}: .env.example does not say what it means"
        if variable is None and entry.name not in compose:
            yield f"{entry.name}: is in .env.example, but nothing reads it"
        # docker-compose.yml may know better than the settings. Addresses are shown, not given.
        known = (variable.default, compose.get(entry.name)) if variable else ()
        if variable and variable.default and entry.value not in known:
            yield f"{entry.name}: is {entry.value!r} in .env.example, but {variable.default!r} by default"
    for name in sorted((read.keys() | compose.keys()) - {entry.name for entry in entries}):
        yield f"{name}: is read, but not in .env.example"


def table_row(entry: Entry, variable: env.Variable | None) -> str:
    kind = variable.kind if variable else "for docker-compose.yml"
    default = (variable.default if variable else entry.value) or ""
    cells = [f"`{entry.name}`", kind, f"`{default}`" if default else "–", entry.meaning]
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


if __name__ == "__main__":
    main()
