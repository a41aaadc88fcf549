"""Everything that the documents name exists: modules and functions, files, anchors, tests, make targets."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from instafeed.devstack.state import PROJECT_ROOT

PAGES = [*sorted(PROJECT_ROOT.glob("*.md")), *sorted((PROJECT_ROOT / "docs").rglob("*.md"))]
_APPS = "accounts|social|media|posts|feeds|instafeed"
_PATH_NAME = re.compile(rf"(?<![\w/.])(?:{_APPS})/[\w/]*\w(?:\.\w+(?:/\w+)*)?")
_DOTTED_NAME = re.compile(rf"(?<!`)`((?:{_APPS})(?:\.\w+)+)`(?!`)")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)
# Permissions, tables, Celery's names, model labels and units of systemd look like modules.
_NOT_MODULES = re.compile(r"\.(?:view_|change_|tasks\.)|^\w+\.[A-Z]\w+$|\.target$")
for_each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT_ROOT)))


def path_names(page: Path) -> Iterator[str]:
    """Names such as `posts/services.create_post`, `feeds/lua/common.lua` or `media/storage`, without existing files."""
    for name in _PATH_NAME.findall(page.read_text()):
        if not (PROJECT_ROOT / name).exists():
            yield name


def missing_part(name: str) -> str:
    """Return what does not exist of a name like `posts/services.create_post`, or an empty text."""
    module, _, attributes = name.partition(".")
    try:
        found = importlib.import_module(module.replace("/", "."))
    except ImportError:
        return module
    return " ".join(part for part in attributes.split("/") if part and not hasattr(found, part))


def is_importable(name: str) -> bool:
    """Whether `name` is a module or an attribute of one: `media.storage`, `media.storage.sign_placeholders`."""
    module, _, attribute = name.rpartition(".")
    try:
        return hasattr(importlib.import_module(module), attribute) or bool(importlib.import_module(name))
    except ImportError:
        return False


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub makes of the page's headings."""
    headings = _HEADING.findall(re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@for_each_page
def test_modules_and_functions_exist(page: Path) -> None:
    assert {name: missing for name in path_names(page) if (missing := missing_part(name))} == {}


@for_each_page
def test_dotted_names_exist(page: Path) -> None:
    names = {name for name in _DOTTED_NAME.findall(page.read_text()) if not _NOT_MODULES.search(name)}
    assert {name for name in names if not is_importable(name)} == set()


@for_each_page
def test_commands_have_no_password_among_their_arguments(page: Path) -> None:
    """All users of a machine can read command lines. Variables of the environment may contain passwords."""
    commands = re.findall(r"^ {4,}(?!\|).*|`[^`\n]+`", page.read_text(), re.MULTILINE)
    shown = re.compile(r"(?:--dbname|-d|-u|-e) *\S*(?:\$\w*URL|://\S*:\S*@)|password=[A-Z]|\bredis-cli .*-(?:a|u) ")
    assert [command for command in commands if shown.search(command)] == []


@for_each_page
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in _LINK.findall(page.read_text()):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@for_each_page
def test_tests_targets_and_benchmarks_exist(page: Path) -> None:
    text = page.read_text()
    targets = set(re.findall(r"^([a-z]+):", (PROJECT_ROOT / "Makefile").read_text(), re.MULTILINE))
    # At the beginning of a line or in backquotes, because "make sure" is not a target.
    assert set(re.findall(r"(?:^ {4}|`)make ([a-z]+)", text, re.MULTILINE)) <= targets
    paths = re.findall(r"\btests/[\w/]+(?:\.\w+)?", text)
    assert [path for path in paths if not (PROJECT_ROOT / path).exists()] == []
    benchmarks = set(re.findall(r"-m benchmarks ([a-z_]+)", text))
    assert [name for name in benchmarks if not (PROJECT_ROOT / "benchmarks" / f"{name}.py").exists()] == []


def test_responsibilities_name_what_the_files_define() -> None:
    wrong = []
    for line in (PROJECT_ROOT / "docs" / "architecture.md").read_text().splitlines():
        if line.startswith("| `"):
            paths, names = (re.findall(r"`([^`]+)`", cell) for cell in line.split("|")[1:3])
            texts = [path.stem + path.read_text() for name in paths for path in source_files(PROJECT_ROOT / name)]
            wrong += [(paths, name) for name in names if not any(re.search(rf"\b{name}\b", text) for text in texts)]
    assert wrong == []


def source_files(path: Path) -> list[Path]:
    return [path] if path.is_file() else [*path.rglob("*.py"), *path.rglob("*.lua")]


def test_names_are_found_at_all() -> None:
    found = {name for page in PAGES for name in path_names(page)}
    assert {"feeds/fanout.deliver", "feeds/timeline.get_page", "posts/services.create_post"} <= found
