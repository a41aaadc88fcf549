"""The name of a client, made from its User-Agent."""

from __future__ import annotations

import pytest

from accounts.client_info import MAX_CLIENT_LENGTH, describe_user_agent


@pytest.mark.parametrize(
    ("user_agent", "expected"),
    [
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Windows"),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605 (KHTML, like Gecko) Version/18.0 "
            "Mobile/15E148 Safari/604.1",
            "Safari on iPhone",
        ),
        (
            "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Mobile Safari/537.36",
            "Chrome on Android",
        ),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0",
            "Edge on macOS",
        ),
        ("Mozilla/5.0 (PlayStation 5)", "Mozilla/5.0 (PlayStation 5)"),
        ("Instafeed/1.2 (iPhone; iOS 18.1)", "Instafeed/1.2 (iPhone; iOS 18.1)"),
        ("curl/8.5.0", "curl/8.5.0"),
        ("", ""),
    ],
)
def test_browsers_get_a_short_name_and_other_clients_keep_theirs(user_agent: str, expected: str) -> None:
    assert describe_user_agent(user_agent) == expected


@pytest.mark.parametrize("hostile", ["a\0b", "a\r\nb", "a\u202eb", "a \x1b b", "  a\t\tb  "])
def test_control_and_format_characters_become_one_space(hostile: str) -> None:
    assert describe_user_agent(hostile) == "a b"


def test_long_texts_are_cut() -> None:
    assert describe_user_agent("x" * 100_000) == "x" * MAX_CLIENT_LENGTH
