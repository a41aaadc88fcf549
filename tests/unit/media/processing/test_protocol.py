"""The parent rejects false answers, so a compromised child can name only its own files."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from media.processing import Options
from media.processing.child.job_loop import run_job
from media.processing.child.rendering import render
from media.processing.protocol import parse_picture
from tests.unit.media.processing.samples import encode, four_colours

OPTIONS = Options()


@pytest.fixture
def valid_answer(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "source").write_bytes(encode(four_colours(700, 500)))
    job = {"source": str(tmp_path / "source"), "directory": str(tmp_path), "options": {}}
    answer: dict[str, Any] = json.loads(json.dumps(run_job(job)["picture"]))
    assert parse_picture(answer, tmp_path, OPTIONS) == render(encode(four_colours(700, 500)), OPTIONS)[0]
    return answer


FALSE_ANSWERS: dict[str, Callable[[dict[str, Any]], object]] = {
    "no width": lambda answer: answer.pop("width"),
    "zero width": lambda answer: answer.update(width=0),
    "width as a string": lambda answer: answer.update(width="700"),
    "width as a boolean": lambda answer: answer.update(width=True),
    "more pixels than allowed": lambda answer: answer.update(width=10**6),
    "script as a blurhash": lambda answer: answer.update(blurhash="<script>alert(1)</script>"),
    "no blurhash": lambda answer: answer.update(blurhash=None),
    "another format": lambda answer: answer.update(source_format="svg"),
    "no variants": lambda answer: answer.update(variants=[]),
    "fewer variants": lambda answer: answer["variants"].pop(),
    "more variants": lambda answer: answer["variants"].append(answer["variants"][0]),
    "a file elsewhere": lambda answer: answer["variants"][0].update(filename="../150.webp"),
    "an absolute file": lambda answer: answer["variants"][0].update(filename="/etc/passwd"),
    "the source file": lambda answer: answer["variants"][0].update(filename="source"),
    "a larger file": lambda answer: answer["variants"][0].update(filename="1080.webp"),
    "another length": lambda answer: answer["variants"][0].update(bytes=1),
    "a larger side": lambda answer: answer["variants"][0].update(width=151),
    "an unknown field": lambda answer: answer["variants"][0].update(more=1),
    "variants as a string": lambda answer: answer.update(variants="none"),
}


@pytest.mark.parametrize("change", FALSE_ANSWERS)
def test_false_answers_are_rejected(change: str, valid_answer: dict[str, Any], tmp_path: Path) -> None:
    FALSE_ANSWERS[change](valid_answer)
    with pytest.raises((ValueError, TypeError, KeyError, OSError)):
        parse_picture(valid_answer, tmp_path, OPTIONS)


def test_symlink_is_rejected(valid_answer: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "150.webp").rename(tmp_path / "elsewhere")
    with pytest.raises(FileNotFoundError):
        parse_picture(valid_answer, tmp_path, OPTIONS)
    (tmp_path / "150.webp").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="not the written file"):
        parse_picture(valid_answer, tmp_path, OPTIONS)


def test_file_of_another_type_is_rejected(valid_answer: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "150.webp").write_bytes(b"<html>".ljust(valid_answer["variants"][0]["bytes"]))
    with pytest.raises(ValueError, match="not a picture"):
        parse_picture(valid_answer, tmp_path, OPTIONS)


def test_full_disk_is_not_the_pictures_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "source").write_bytes(encode(four_colours()))

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    job = {"source": str(tmp_path / "source"), "directory": str(tmp_path), "options": {}}
    assert run_job(job) == {"failed": "OSError: [Errno 28] No space left on device"}
    assert [path.name for path in tmp_path.iterdir()] == ["source"]
