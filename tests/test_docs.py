"""What the documents name exists: modules and functions, files, anchors, tests, make's targets."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from instafeed.devstack.state import PROJECT_ROOT

PAGES = [PROJECT_ROOT / "README.md", PROJECT_ROOT / "CHANGELOG.md", *sorted((PROJECT_ROOT / "docs").rglob("*.md"))]
_APPS = "accounts|social|media|posts|feeds|instafeed"
_NAMED = re.compile(rf"(?<![\w/.])(?:{_APPS})/[\w/]*\w(?:\.\w+(?:/\w+)*)?")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)
pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT_ROOT)))


def named(page: Path) -> Iterator[str]:
    """`posts/services.create_post`, `feeds/ledger.checkpoint/close`, `media/storage`, `feeds/admin.py`."""
    for name in _NAMED.findall(page.read_text()):
        if not (PROJECT_ROOT / name).exists():
            yield name


def missing_in(name: str) -> str:
    """What of a name does not exist; empty if all does."""
    module, _, attributes = name.partition(".")
    try:
        found = importlib.import_module(module.replace("/", "."))
    except ImportError:
        return module
    return " ".join(part for part in attributes.split("/") if part and not hasattr(found, part))


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = _HEADING.findall(re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pages
def test_modules_and_functions_exist(page: Path) -> None:
    assert {name: missing for name in named(page) if (missing := missing_in(name))} == {}


@pages
def test_links_lead_somewhere(page: Path) -> None:
    lost = []
    for link in _LINK.findall(page.read_text()):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            lost.append(link)
    assert lost == []


@pages
def test_tests_and_targets_exist(page: Path) -> None:
    text = page.read_text()
    targets = set(re.findall(r"^([a-z]+):", (PROJECT_ROOT / "Makefile").read_text(), re.MULTILINE))
    # At a line's beginning or in backquotes, so that "make sure" is no target.
    assert set(re.findall(r"(?:^ {4}|`)make ([a-z]+)", text, re.MULTILINE)) <= targets
    paths = re.findall(r"\btests/[\w/]+(?:\.py)?", text)
    assert [path for path in paths if not (PROJECT_ROOT / path).exists()] == []
    benchmarks = set(re.findall(r"-m benchmarks ([a-z_]+)", text))
    assert [name for name in benchmarks if not (PROJECT_ROOT / "benchmarks" / f"{name}.py").exists()] == []


def test_the_diagrams_name_functions_at_all() -> None:
    """Lest the pattern above finds nothing one day."""
    found = {name for page in PAGES for name in named(page)}
    assert {"feeds/fanout.deliver_slice", "feeds/hydration.hydrate", "posts/services.create_post"} <= found
