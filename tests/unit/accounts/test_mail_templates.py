"""All words of the mails can be translated."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from instafeed.devstack.state import PROJECT_ROOT

TEMPLATES = sorted((PROJECT_ROOT / "accounts" / "templates" / "accounts" / "mail").glob("*.*"))
_MARKED = re.compile(r"\{% blocktranslate\b.*?\{% endblocktranslate %\}", re.DOTALL)
_MARKUP = re.compile(r"\{%.*?%\}|\{\{.*?\}\}|<[^>]*>", re.DOTALL)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_texts_of_mails_are_marked_for_translation(path: Path) -> None:
    assert re.findall(r"\w+", _MARKUP.sub("", _MARKED.sub("", path.read_text()))) == []
