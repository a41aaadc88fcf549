"""The checker of texts finds what it should, and only that."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lint.texts import WORDS, check_file, long_lines, python_texts, read_rules

RULES = read_rules(WORDS.read_text())


def problems(path: Path, text: str) -> list[str]:
    path.write_text(text)
    return [f"{problem.line}: {problem.message}" for problem in check_file(path, RULES)]


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("a.py", '"""Ask whoever calls."""\n', 1),
        ("b.py", "x = 1\n# Read it anew.\n", 2),
        ("c.py", "def test_nobody_hears() -> None: ...\n", 1),
        ("d.py", 'x = """\nThe author is\n    told it.\n"""\n', 2),
        ("e.lua", "-- lets the list be\n", 1),
        ("f.html", "<p>Somebody reported this</p>\n", 1),
        ("g.md", "One.\n\nOf its own\naccord.\n", 3),
        ("h.md", f"{'long ' * 24}\n", 1),
    ],
)
def test_a_text_to_rewrite_is_found(tmp_path: Path, name: str, text: str, line: int) -> None:
    (found,) = problems(tmp_path / name, text)
    assert found.startswith(f"{line}: ")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("label.py", 'LABELS = ("nobody", "stuck")\n'),
        ("name.py", "is_told = somebody.anew\n"),
        ("code.md", "The label `nobody`.\n\n```text\nwhatever\n```\n"),
        ("paragraphs.md", "Of its own\n\naccord.\n"),
        ("table.md", f"| {'long ' * 40}|\n"),
        ("link.md", f"[short](https://example.org/{'long' * 40})\n"),
    ],
)
def test_other_texts_are_left_alone(tmp_path: Path, name: str, text: str) -> None:
    assert problems(tmp_path / name, text) == []


def test_two_strings_of_a_line_are_not_one_text() -> None:
    assert "is told" not in " ".join(python_texts('f("it is", "told so")\n'))


def test_the_longest_line_allowed() -> None:
    assert list(long_lines("x" * 119)) == []
    assert list(long_lines("x" * 120)) == [(1, 120)]
