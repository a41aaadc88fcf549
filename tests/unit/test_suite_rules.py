"""The rules for tests that a program can check, on the syntax trees of all modules in tests/."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from instafeed.devstack.state import PROJECT_ROOT

MODULES = sorted((PROJECT_ROOT / "tests").rglob("*.py"))
# Only these really commit rows: races between connections, reads from the replica, and tests of commits themselves.
COMMITTING_NAMES = ("concurrency.py", "test_replica_reads.py", "test_commits.py")
COMMITTING_MODULE = "tests/db/feeds/test_stateful.py"

Rule = Callable[[ast.AST], Iterator[str]]


def is_private(name: str) -> bool:
    """Return whether the last part of a dotted name begins with one underscore."""
    last = name.rpartition(".")[2]
    return last.startswith("_") and not last.startswith("__") and last != "_"


def called_name(call: ast.Call) -> str:
    """Return the last part of the name of the called function."""
    return getattr(call.func, "attr", getattr(call.func, "id", ""))


def private_imports(node: ast.AST) -> Iterator[str]:
    """Yield imports of private modules and names."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
        names = [*module.split("."), *(part for alias in node.names for part in alias.name.split("."))]
        yield from (f"imports {name}" for name in names if is_private(name))


def private_replacements(node: ast.AST) -> Iterator[str]:
    """Yield `setattr(module, "_name", …)`, `patch("package.module._name")` and `patch.object(module, "_name")`."""
    if isinstance(node, ast.Call) and called_name(node) in ("setattr", "delattr", "patch", "object"):
        for argument in node.args[:2]:
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str) and is_private(argument.value):
                yield f"replaces {argument.value}"


def real_commits(node: ast.AST) -> Iterator[str]:
    """Yield markers `django_db(transaction=True)` and uses of the fixture that does the same."""
    if isinstance(node, ast.Call) and called_name(node) == "django_db":
        for keyword in node.keywords:
            if keyword.arg == "transaction" and ast.unparse(keyword.value) != "False":
                yield "really commits, with django_db(transaction=True)"
    elif isinstance(node, ast.arg) and node.arg == "transactional_db":
        yield "really commits, with transactional_db"


def own_bounds(node: ast.AST) -> Iterator[str]:
    """Yield calls of `eventually` with more than the condition."""
    if isinstance(node, ast.Call) and called_name(node) == "eventually" and (len(node.args) != 1 or node.keywords):
        yield "calls eventually() with more than the condition"


def may_commit(path: Path) -> bool:
    return path.name.endswith(COMMITTING_NAMES) or path == PROJECT_ROOT / COMMITTING_MODULE


def problems(rule: Rule, source: str) -> list[str]:
    return [
        f"{getattr(node, 'lineno', 0)}: {problem}" for node in ast.walk(ast.parse(source)) for problem in rule(node)
    ]


def assert_all_follow(rule: Rule, modules: list[Path]) -> None:
    assert len(modules) > 100
    found = [
        f"{path.relative_to(PROJECT_ROOT)}:{line}" for path in modules for line in problems(rule, path.read_text())
    ]
    assert not found, "\n".join(found)


def test_no_module_imports_a_private_name() -> None:
    assert_all_follow(private_imports, MODULES)


def test_no_module_replaces_a_private_name() -> None:
    assert_all_follow(private_replacements, MODULES)


def test_only_tests_of_commits_really_commit() -> None:
    assert_all_follow(real_commits, [path for path in MODULES if not may_commit(path)])


def test_eventually_has_one_bound() -> None:
    assert_all_follow(own_bounds, MODULES)


@pytest.mark.parametrize(
    ("rule", "source"),
    [
        (private_imports, "from package.module import name, _name"),
        (private_imports, "from package._module import name"),
        (private_imports, "import package._module"),
        (private_replacements, 'monkeypatch.setattr(module, "_name", 1)'),
        (private_replacements, 'monkeypatch.setattr("package.module._name", 1)'),
        (private_replacements, 'patch("package.module._name")'),
        (private_replacements, 'mock.patch.object(module, "_name")'),
        (real_commits, "pytestmark = pytest.mark.django_db(transaction=True)"),
        (real_commits, "pytestmark = pytest.mark.django_db(transaction=REALLY)"),
        (real_commits, "def test_it(transactional_db: None) -> None: ..."),
        (own_bounds, "eventually(condition, 5)"),
        (own_bounds, "waiting.eventually(condition, seconds=5)"),
    ],
)
def test_violation_is_found(rule: Rule, source: str) -> None:
    assert len(problems(rule, source)) == 1


@pytest.mark.parametrize(
    ("rule", "source"),
    [
        (private_imports, "from __future__ import annotations"),
        (private_imports, "from django.utils.translation import gettext as _"),
        (private_replacements, 'monkeypatch.setattr(module, "name", "_value")'),
        (private_replacements, 'patch.object(Atomic, "__exit__", leave)'),
        (real_commits, "pytestmark = pytest.mark.django_db(transaction=False)"),
        (real_commits, 'pytestmark = pytest.mark.django_db(databases=["default"])'),
        (own_bounds, "eventually(lambda: condition)"),
    ],
)
def test_other_code_is_accepted(rule: Rule, source: str) -> None:
    assert problems(rule, source) == []
