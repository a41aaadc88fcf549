"""Cards in the cache hold no signature, and nobody can write a text that gets one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from media import storage
from media.storage import url_placeholders
from media.storage.url_placeholders import PrivateFile

KEYS = [f"{letter * 32}" for letter in "abc"]
PATHS = [f"private/{key}/{name}" for key in KEYS for name in ("150.webp", "1080.webp", "640.jpeg")]

# Whatever looks like a mark, in whichever spelling, and anything else.
lookalikes = st.sampled_from(["\x01", "\\u0001", "\\\\u0001", '"', "\\", *PATHS, *(f"\x01{path}" for path in PATHS)])
texts = st.lists(lookalikes | st.text(max_size=10), max_size=6).map("".join)
files = st.sampled_from(PATHS).map(PrivateFile)
values = st.recursive(
    texts | files | st.none() | st.booleans() | st.integers(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


def signed(value: Any) -> Any:
    """What a card is to become: the same, with every file's URL."""
    if isinstance(value, PrivateFile):
        return f"https://cdn/{value.path}?signed&by=~-_"
    if isinstance(value, list):
        return [signed(item) for item in value]
    if isinstance(value, dict):
        return {name: signed(item) for name, item in value.items()}
    return value


@examples(max_examples=60, deadline=None)
@given(values)
def test_private_files_are_signed_and_texts_are_not(card: Any) -> None:
    asked: list[str] = []

    def sign(key: str, names: list[str]) -> list[str]:
        asked.append(key)
        assert len(set(names)) == len(names)
        return [f"https://cdn/private/{key}/{name}?signed&by=~-_" for name in names]

    encoded = storage.encode_with_placeholders(card)
    filled = url_placeholders.sign_placeholders(encoded, sign)
    assert json.loads(filled) == signed(card)
    assert len(asked) == len(set(asked)), "one signature a key"
    assert encoded is filled or asked


@pytest.mark.usefixtures("directory")
def test_json_without_private_files_is_returned_unchanged() -> None:
    path = f"public/{storage.new_key()}/1080.webp"
    card = storage.encode_with_placeholders({"url": storage.url_or_placeholder(path), "caption": "\x01private/"})
    assert storage.sign_placeholders(card) is card
    assert json.loads(card)["url"] == f"/files/{path}"


@pytest.mark.usefixtures("directory")
def test_private_url_is_signed_on_each_read(settings: Any) -> None:
    settings.PUBLIC_URL = "https://example.org"
    path = f"private/{storage.new_key()}/1080.webp"
    card = storage.encode_with_placeholders({"url": storage.url_or_placeholder(path), "caption": "grüße"})
    assert card == b'{"url":"\x01%b","caption":"gr\xc3\xbc\xc3\x9fe"}' % path.encode()
    assert json.loads(storage.sign_placeholders(card))["url"] == storage.url(path)
    assert storage.url(path).startswith(f"https://example.org/files/{path}?expires=")


def test_only_json_values_are_encoded() -> None:
    with pytest.raises(TypeError, match="set"):
        storage.encode_with_placeholders({"x": {1}})
    with pytest.raises(TypeError):
        json.dumps({"url": PrivateFile("private/x/1.webp")})
