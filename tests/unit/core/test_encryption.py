"""Encrypted values: key rotation and what the stored text reveals."""

from __future__ import annotations

import pytest
from pytest_django import Settings

from instafeed.core import encryption

VALUE = b"a value to hide"


def test_a_value_is_decrypted_and_its_text_differs_each_time() -> None:
    one, other = encryption.encrypt(VALUE), encryption.encrypt(VALUE)
    assert encryption.decrypt(one.text) == encryption.decrypt(other.text) == VALUE
    assert one.text != other.text
    assert one.key_id == other.key_id == encryption.get_key_id()
    assert VALUE.decode() not in one.text


def test_a_former_key_decrypts_only_while_it_is_a_fallback(settings: Settings) -> None:
    stored = encryption.encrypt(VALUE)
    settings.SECRET_KEY, former = "another key" * 6, settings.SECRET_KEY
    with pytest.raises(encryption.UnknownKey):
        encryption.decrypt(stored.text)
    settings.SECRET_KEY_FALLBACKS = [former]
    assert encryption.decrypt(stored.text) == VALUE
    assert encryption.get_key_id() != stored.key_id


@pytest.mark.parametrize("text", ["", "x", "gAAAAA=="])
def test_a_damaged_value_is_refused(text: str) -> None:
    with pytest.raises(encryption.UnknownKey):
        encryption.decrypt(text)
