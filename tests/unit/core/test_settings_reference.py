"""docs/configuration.md lists every variable, as the code reads it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from deploy import settings_reference
from instafeed.devstack.state import PROJECT_ROOT


def test_the_reference_is_up_to_date_in_any_environment() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "deploy.settings_reference"],
        cwd=PROJECT_ROOT,
        env={"PATH": os.environ["PATH"], "CELEBRITY_THRESHOLD": "7", "DEBUG": "true"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stderr == ""
    assert done.stdout == (PROJECT_ROOT / "docs" / "configuration.md").read_text()


def test_the_reference_lists_every_variable_in_the_code() -> None:
    listed = set(re.findall(r"^\| `(\w+)` \|", (PROJECT_ROOT / "docs" / "configuration.md").read_text(), re.MULTILINE))
    sources = [
        path
        for folder in ("instafeed", "accounts", "social", "media", "exports", "posts", "feeds", "deploy")
        for path in sorted((PROJECT_ROOT / folder).rglob("*.py"))
    ]
    read = {
        name
        for path in sources
        for name in re.findall(r'(?:os\.environ(?:\.get\(|\[)|env\.\w+\(\s*)"([A-Z][A-Z0-9_]+)"', path.read_text())
    }
    assert len(read) > 50
    assert read - listed == {"PATH"}  # not a setting


def test_differences_between_example_and_code_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    example = tmp_path / ".env.example"
    right = (PROJECT_ROOT / ".env.example").read_text()
    wrong = right.replace("\nFEED_LENGTH=500", "\nFEED_LENGTH=501").replace("\nFEED_TTL=604800", "\nFEED_LIFE=604800")
    example.write_text(wrong)
    (tmp_path / "docker-compose.yml").write_text((PROJECT_ROOT / "docker-compose.yml").read_text())
    monkeypatch.setattr(settings_reference, "ROOT", tmp_path)
    read = {
        "FEED_LENGTH": settings_reference.env.Variable("FEED_LENGTH", "", "500"),
        "FEED_TTL": settings_reference.env.Variable("FEED_TTL", "", "604800"),
    }
    said = "\n".join(settings_reference.disagreements(read, list(settings_reference.example_entries())))
    assert "FEED_LENGTH: is '501' in .env.example, but its default is '500'" in said
    assert "FEED_LIFE: is in .env.example, but not read" in said
    assert "FEED_TTL: is read, but not in .env.example" in said
