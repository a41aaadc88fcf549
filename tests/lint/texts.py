"""Check the texts of the project: `python -m tests.lint.texts [FILE…]`, part of `make check`.

Print one line for each word or phrase of `words_to_avoid.txt` that stands in a comment, docstring, string, template,
configuration file or document, and for each line of Markdown prose with 120 characters or more. Exit with 1 if there
are any.
"""

from __future__ import annotations

import io
import re
import sys
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WORDS = ROOT / "tests" / "lint" / "words_to_avoid.txt"
MAX_LINE_LENGTH = 119

_ROOTS = (
    *("accounts", "benchmarks", "deploy", "docs", "exports", "feeds", "instafeed", "media", "posts", "social", "tests"),
    *(
        ".ci",
        ".github",
        "README.md",
        "CHANGELOG.md",
        "CODE_OF_CONDUCT.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "Makefile",
    ),
    *("Dockerfile", "docker-compose.yml", "manage.py", "pyproject.toml", "schemathesis.toml"),
    *(".dockerignore", ".editorconfig", ".env.example", ".gitignore", ".pre-commit-config.yaml"),
)
_SUFFIXES = {"", ".conf", ".css", ".envsh", ".example", ".html", ".js", ".json", ".lua", ".md", ".py", ".sh", ".svg"}
_SUFFIXES |= {".template", ".toml", ".txt", ".yaml", ".yml"}
# The list itself, the test of this program, and generated files whose sources are checked.
_EXCLUDED = {"tests/lint/words_to_avoid.txt", "tests/unit/test_lint_texts.py", "docs/configuration.md", "openapi.json"}

_FENCE = re.compile(r"^ *(```|~~~)")
_INLINE_CODE = re.compile(r"`[^`\n]*`")
_LINK_TARGET = re.compile(r"\]\([^)]*\)|<?https?://\S+")
_GAP = r"(?:[^\S\n]+|[^\S\n]*\n[^\S\n]*)"  # between two words; a phrase may be wrapped, but not over an empty line
_APART = " · "  # between two texts of one line, so that no phrase spans them


@dataclass(frozen=True, slots=True)
class Rule:
    """A phrase that should not be used."""

    phrase: str
    instead: str
    pattern: re.Pattern[str]


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding in one file."""

    path: Path
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message}"


def main(arguments: list[str]) -> int:
    """Check the given files, or the whole project. Return the exit status."""
    rules = read_rules(WORDS.read_text())
    paths = [ROOT / argument for argument in arguments] or list(project_files())
    problems = [problem for path in paths if _is_checked(path) for problem in check_file(path, rules)]
    for problem in problems:
        sys.stdout.write(f"{problem}\n")
    if problems:
        sys.stdout.write(f"{len(problems)} texts to rewrite; {WORDS.relative_to(ROOT)} is the word list.\n")
    return 1 if problems else 0


def read_rules(text: str) -> list[Rule]:
    """Parse the word list."""
    rules = []
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            phrase, _, instead = (part.strip() for part in line.partition("|"))
            rules.append(Rule(phrase, instead, _pattern(phrase)))
    return rules


def project_files() -> Iterator[Path]:
    """All files of the project, sorted by path within each root."""
    for root in _ROOTS:
        path = ROOT / root
        yield from [path] if path.is_file() else sorted(found for found in path.rglob("*") if found.is_file())


def check_file(path: Path, rules: Iterable[Rule]) -> Iterator[Problem]:
    """Yield the problems of one file, in the order of the rules."""
    name = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
    source = path.read_text()
    if path.suffix == ".py":
        lines = python_texts(source)
    elif path.suffix == ".md":
        lines = markdown_prose(source)
        yield from (
            Problem(name, number, f"{length} characters, at most {MAX_LINE_LENGTH}: wrap the line")
            for number, length in long_lines(source)
        )
    else:
        lines = [line.lstrip(" \t#*-/<!") for line in source.splitlines()]
    text = "\n".join(lines)
    for rule in rules:
        for match in rule.pattern.finditer(text):
            found = " ".join(match[0].split())
            yield Problem(name, text.count("\n", 0, match.start()) + 1, f"{found} → {rule.instead}")


def python_texts(source: str) -> list[str]:
    """The lines of a module without its code: comments, strings of more than one word, and names that it defines."""
    lines: list[list[str]] = [[] for _ in range(source.count("\n") + 2)]
    defines = False
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        row = token.start[0] - 1
        kind = tokenize.tok_name[token.type]
        if kind == "COMMENT":
            lines[row].append(token.string.lstrip("#: "))
        elif kind in ("STRING", "FSTRING_MIDDLE") and len(token.string.split()) > 1:
            for number, part in enumerate(token.string.split("\n")):
                lines[row + number].append(part.strip())
        elif kind == "NAME" and defines:
            lines[row].append(token.string.replace("_", " "))
        defines = kind == "NAME" and token.string in ("def", "class")
    return [_APART.join(parts) for parts in lines]


def markdown_prose(source: str) -> list[str]:
    """The lines of a document, with code replaced by a placeholder."""
    lines, fenced = [], False
    for line in source.splitlines():
        if _FENCE.match(line):
            fenced = not fenced
            lines.append("")
        else:
            lines.append("" if fenced else _INLINE_CODE.sub("`code`", line.lstrip(" >*")))
    return lines


def long_lines(source: str) -> Iterator[tuple[int, int]]:
    """Number and length of each line of prose that is too long; tables, code and the targets of links do not count."""
    fenced = False
    for number, line in enumerate(source.splitlines(), start=1):
        if _FENCE.match(line):
            fenced = not fenced
        elif not fenced and not line.startswith(("|", "    ")):
            length = len(_LINK_TARGET.sub("", line))
            if length > MAX_LINE_LENGTH:
                yield number, length


def _pattern(phrase: str) -> re.Pattern[str]:
    words = [_word(word) for word in phrase.split()]
    return re.compile(rf"(?<![\w-]){_GAP.join(words)}(?![\w-])", re.IGNORECASE)


def _word(word: str) -> str:
    if word == "…":
        return rf"[\w'’-]+(?:{_GAP}[\w'’-]+){{0,3}}"
    return re.escape(word).replace(r"\*", r"\w*")


def _is_checked(path: Path) -> bool:
    if {"__pycache__", "vendor"} & set(path.parts) or path.suffix not in _SUFFIXES or not path.is_file():
        return False
    return not path.is_relative_to(ROOT) or path.relative_to(ROOT).as_posix() not in _EXCLUDED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
