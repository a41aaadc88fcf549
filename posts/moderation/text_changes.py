"""Compare a text as it was reported with the one of today, word by word."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import groupby
from operator import itemgetter

MAX_COMPARED_WORDS = 1_500  # of both texts: comparing takes 20 ms then. Longer texts are shown without marks.


@dataclass(frozen=True)
class Segment:
    """A part of a text."""

    text: str
    is_changed: bool = False  # it is not in the other text


@dataclass(frozen=True)
class TextChange:
    """A text as it was reported, and the text of today."""

    reported: Sequence[Segment]
    current: Sequence[Segment]


def compare_texts(reported: str, current: str) -> TextChange:
    """Return both texts in segments, with the words marked that are not in the other text at that place."""
    old, new = _split(reported), _split(current)
    if len(old) + len(new) > 2 * MAX_COMPARED_WORDS:  # half of the parts are spaces
        return TextChange([Segment(reported)], [Segment(current)])
    blocks = SequenceMatcher(None, old, new).get_opcodes()
    return TextChange(
        _join([("".join(old[start:end]), kind != "equal") for kind, start, end, _, _ in blocks]),
        _join([("".join(new[start:end]), kind != "equal") for kind, _, _, start, end in blocks]),
    )


def _split(text: str) -> list[str]:
    """Return the words of a text and the spaces between them."""
    return [part for part in re.split(r"(\s+)", text) if part]


def _join(parts: list[tuple[str, bool]]) -> list[Segment]:
    """Return segments in which a space between two changed words counts as changed."""
    parts = [(text, is_changed) for text, is_changed in parts if text]
    inner = range(1, len(parts) - 1)
    gaps = {at for at in inner if parts[at][0].isspace() and parts[at - 1][1] and parts[at + 1][1]}
    marked = ((text, is_changed or at in gaps) for at, (text, is_changed) in enumerate(parts))
    return [
        Segment("".join(text for text, _ in group), is_changed)
        for is_changed, group in groupby(marked, key=itemgetter(1))
    ]
