"""Write docs/configuration.md: `python -m deploy.settings_reference > docs/configuration.md`. `make check` compares it.

Names, types, bounds and defaults come from the calls to `instafeed.core.env` while the settings are loaded. Sections
and meanings come from .env.example. If the two disagree, it prints one line per variable on stderr and exits with 1.
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
# With these values, the settings read all other variables.
COMPLETE_ENVIRONMENT = {
    "DATABASE_URL": "postgresql://localhost/instafeed",
    "DATABASE_DIRECT_URL": "postgresql://localhost/instafeed",
    "REDIS_URL": "redis://localhost",
    "CELERY_BROKER_URL": "redis://localhost",
    "SECRET_KEY": "a-placeholder-to-load-the-settings-it-signs-nothing-at-all",
    "AWS_STORAGE_BUCKET_NAME": "instafeed",
    "AWS_DEFAULT_REGION": "eu-west-1",
}
PAGE_HEAD = """\
# Configuration

All environment variables. `make reference` writes this page from the code; [.env.example](../.env.example) has the same
variables to copy. An invalid value stops the start with one line that names the variable. An empty value counts as
unset. `manage.py check --deploy` finds values that do not fit together ([operations.md](operations.md#checks)).

boto3 reads further variables, such as `AWS_PROFILE` and `AWS_SESSION_TOKEN` (see its documentation). A `postgresql://`
URL may have all options of libpq.
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
    """Load the settings and gunicorn's configuration, and return the variables that they read."""
    os.environ.clear()
    os.environ.update(COMPLETE_ENVIRONMENT)
    import instafeed.settings  # noqa: F401

    runpy.run_path(str(ROOT / "deploy" / "gunicorn.conf.py"))
    return env.KNOWN_VARIABLES


def example_entries() -> Iterator[Entry]:
    """Parse .env.example: `NAME=value` lines, commented out or not, each below a comment with its meaning."""
    section = ""
    meaning: list[str] = []
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
    """Yield one line for each difference between the settings, docker-compose.yml and .env.example."""
    compose = dict(re.findall(r"\$\{(\w+)(?::-([^{}$]*)\})?", (ROOT / "docker-compose.yml").read_text()))
    for entry in entries:
        variable = read.get(entry.name)
        if not entry.meaning or not entry.section:
            yield f"{entry.name}: .env.example does not explain it"
        if variable is None and entry.name not in compose:
            yield f"{entry.name}: is in .env.example, but not read"
        # docker-compose.yml may set another default. Addresses without a default are examples.
        known = (variable.default, compose.get(entry.name)) if variable else ()
        if variable and variable.default and entry.value not in known:
            yield f"{entry.name}: is {entry.value!r} in .env.example, but its default is {variable.default!r}"
    for name in sorted((read.keys() | compose.keys()) - {entry.name for entry in entries}):
        yield f"{name}: is read, but not in .env.example"


def table_row(entry: Entry, variable: env.Variable | None) -> str:
    kind = variable.kind if variable else "for docker-compose.yml"
    default = (variable.default if variable else entry.value) or ""
    cells = [f"`{entry.name}`", kind, f"`{default}`" if default else "–", entry.meaning]
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


if __name__ == "__main__":
    main()
