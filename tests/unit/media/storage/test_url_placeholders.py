"""Cached JSON contains no signatures, and no text can be mistaken for a placeholder."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from pytest_django import Settings

from media import storage
from media.storage import url_placeholders
from media.storage.url_placeholders import PrivateFile

KEYS = [f"{letter * 32}" for letter in "abc"]
PATHS = [f"private/{key}/{name}" for key in KEYS for name in ("150.webp", "1080.webp", "640.jpeg")]

# Texts that look like placeholders in any spelling, and arbitrary ones.
lookalikes = st.sampled_from(["\x01", "\\u0001", "\\\\u0001", '"', "\\", *PATHS, *(f"\x01{path}" for path in PATHS)])
texts = st.lists(lookalikes | st.text(max_size=10), max_size=6).map("".join)
files = st.sampled_from(PATHS).map(PrivateFile)
values = st.recursive(
    texts | files | st.none() | st.booleans() | st.integers(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


def with_signed_urls(value: Any) -> Any:
    """Return the expected value: the same, with a signed URL for every file."""
    if isinstance(value, PrivateFile):
        return f"https://cdn/{value.path}?with_signed_urls&by=~-_"
    if isinstance(value, list):
        return [with_signed_urls(item) for item in value]
    if isinstance(value, dict):
        return {name: with_signed_urls(item) for name, item in value.items()}
    return value


@examples(max_examples=60, deadline=None)
@given(values)
def test_private_files_are_signed_and_texts_are_not(card: Any) -> None:
    asked: list[str] = []

    def sign(key: str, names: list[str]) -> list[str]:
        asked.append(key)
        assert len(set(names)) == len(names)
        return [f"https://cdn/private/{key}/{name}?with_signed_urls&by=~-_" for name in names]

    encoded = storage.encode_with_placeholders(card)
    filled = url_placeholders.sign_placeholders(encoded, sign)
    assert json.loads(filled) == with_signed_urls(card)
    assert len(asked) == len(set(asked)), "one signature per key"
    assert encoded is filled or asked


@pytest.fixture
def local_storage(settings: Settings) -> None:
    backend = {"BACKEND": "media.storage.local.filesystem.FileStorage"}
    settings.STORAGES = {**settings.STORAGES, "default": backend}


@pytest.mark.usefixtures("local_storage")
def test_json_without_private_files_is_returned_unchanged() -> None:
    path = f"public/{storage.new_key()}/1080.webp"
    card = storage.encode_with_placeholders({"url": storage.url_or_placeholder(path), "caption": "\x01private/"})
    assert storage.sign_placeholders(card) is card
    assert json.loads(card)["url"] == f"/files/{path}"


@pytest.mark.usefixtures("local_storage")
def test_private_url_is_signed_on_each_read(settings: Settings) -> None:
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
