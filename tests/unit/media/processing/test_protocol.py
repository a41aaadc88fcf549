"""The parent rejects false answers, so a compromised child can name only its own files."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest

from media.processing import Options
from media.processing.child.rendering import render
from media.processing.protocol import parse_picture
from tests.unit.media.processing.samples import encode, four_colours

OPTIONS = Options()


Files = dict[str, bytes]


@pytest.fixture
def files() -> Files:
    return render(encode(four_colours(700, 500)), OPTIONS)[1]


@pytest.fixture
def valid_answer(files: Files) -> dict[str, Any]:
    picture = render(encode(four_colours(700, 500)), OPTIONS)[0]
    answer: dict[str, Any] = json.loads(json.dumps(asdict(picture)))
    assert parse_picture(answer, files, OPTIONS) == picture
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
def test_false_answers_are_rejected(change: str, valid_answer: dict[str, Any], files: Files) -> None:
    FALSE_ANSWERS[change](valid_answer)
    with pytest.raises((ValueError, TypeError, KeyError)):
        parse_picture(valid_answer, files, OPTIONS)


FALSE_FILES: dict[str, Callable[[Files], object]] = {
    "a missing file": lambda files: files.pop("150.webp"),
    "another file": lambda files: files.update({"../../index.html": b"<html>"}),
    "a file of another type": lambda files: files.update({"150.webp": b"<html>".ljust(len(files["150.webp"]))}),
}


@pytest.mark.parametrize("change", FALSE_FILES)
def test_false_files_are_rejected(change: str, valid_answer: dict[str, Any], files: Files) -> None:
    FALSE_FILES[change](files)
    with pytest.raises((ValueError, KeyError)):
        parse_picture(valid_answer, files, OPTIONS)
