"""EMAIL_URL says where mails go."""

from __future__ import annotations

from typing import Any

import pytest

from instafeed.core.mail import url as mail_url


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp://mail.example.org", ("mail.example.org", 587, "", "", True, False)),
        ("smtp://me%40x:p%2Fw@mail.example.org:2525", ("mail.example.org", 2525, "me@x", "p/w", True, False)),
        ("smtp://127.0.0.1:25?tls=off", ("127.0.0.1", 25, "", "", False, False)),
        ("smtps://me:pw@mail.example.org", ("mail.example.org", 465, "me", "pw", False, True)),
    ],
)
def test_smtp(url: str, expected: tuple[Any, ...]) -> None:
    settings = mail_url.parse(url)
    names = ("HOST", "PORT", "HOST_USER", "HOST_PASSWORD", "USE_TLS", "USE_SSL")
    assert tuple(settings[f"EMAIL_{name}"] for name in names) == expected
    assert settings["EMAIL_TIMEOUT"] == mail_url.TIMEOUT
    assert mail_url.reaches_people(url)


def test_files_and_console_stay_on_this_machine() -> None:
    assert mail_url.parse("file:/var/a%20b/mail")["EMAIL_FILE_PATH"] == "/var/a b/mail"
    assert "console" in mail_url.parse("console:")["EMAIL_BACKEND"]
    assert not any(map(mail_url.reaches_people, ("", "console:", "file:/var/mail")))


def test_providers_of_anymail() -> None:
    settings = mail_url.parse("amazon-ses:?configuration_set_name=news")
    assert settings["EMAIL_BACKEND"] == "anymail.backends.amazon_ses.EmailBackend"
    assert settings["ANYMAIL"]["AMAZON_SES_CONFIGURATION_SET_NAME"] == "news"
    assert settings["ANYMAIL"]["REQUESTS_TIMEOUT"] == mail_url.TIMEOUT
