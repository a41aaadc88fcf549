"""What is secret leaves no process in a log line or an error report; what is not stays readable."""

from __future__ import annotations

import time

import pytest

from instafeed.redaction import BLANK, LONGEST, redact, redact_text

JWT = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ1c2VyX2lkIjoiMSJ9.c2lnbmF0dXJlLXRoYXQtaXMtbG9uZw"
SECRET = "Tr0ub4dor-and-3"


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {SECRET}",
        f"Authorization: Basic {SECRET}=",
        f"{{'HTTP_AUTHORIZATION': 'Token {SECRET}'}}",
        f"bearer {SECRET} was refused",
        f"redis://:{SECRET}@127.0.0.1:6379/0 refused",
        f"postgresql://instafeed:{SECRET}@db:5432/instafeed?sslmode=require",
        f"amqp://user:pa/ss-{SECRET}@host//",
        f"connection to host=db user=x password={SECRET} failed",
        f"password = '{SECRET} with blanks'",
        f'{{"username": "u", "password": "a long {SECRET}"}}',
        f"{{'password': 'a long {SECRET}', 'x': 1}}",
        f"{{'password': b'a long {SECRET}'}}",
        f"form['new_password'] = '{SECRET}'",
        f"https://host/reset?token={SECRET}&next=/",
        f"https://host/x?a=1&refresh={SECRET}",
        f"https://host/x?access={SECRET}#top",
        f"https://bucket.s3.amazonaws.com/key?X-Amz-Credential={SECRET}&X-Amz-Signature={SECRET}",
        f"https://cdn/key?Policy={SECRET}&Signature={SECRET}&Key-Pair-Id=K1",
        f"/files/private/key/640.webp?expires=1&signature={SECRET}",
        f"Cookie: sessionid={SECRET}; csrftoken={SECRET}",
        f"Set-Cookie: sessionid={SECRET}; HttpOnly",
        f"'HTTP_COOKIE': 'a={SECRET}; b={SECRET}'",
        f"AWS_SECRET_ACCESS_KEY={SECRET}",
        f"refresh token: {SECRET}",
        f"SECRET_KEY: {SECRET}",
        f'"password": "{SECRET} is cut of',
    ],
)
def test_secrets_within_a_text_are_blanked(text: str) -> None:
    cleaned = redact_text(text)
    assert SECRET not in cleaned
    assert BLANK in cleaned
    assert redact_text(f"before\n{text}\nafter").startswith("before\n"), "lines around it stay"


@pytest.mark.parametrize("cut", [len(JWT), 100, 60, 30, 20])
def test_a_token_is_blanked_wherever_it_stands_and_however_it_is_cut(cut: int) -> None:
    for text in (JWT[:cut], f"got {JWT[:cut]!r} from a client", f"/x?q={JWT[:cut]}&y"):
        assert "hbGciOi" not in redact_text(text)


@pytest.mark.parametrize(
    "text",
    [
        "stack-8251@vm ready.",
        "connected to https://example.org:8000/users/x",
        "replica1 is left out of reads: connection refused",
        'File "/app/accounts/tokens.py", line 12, in refresh_token',
        "    token = self.issue(user)",
        "media 382934671031271425, attempt 2: the picture process took longer than 60 s",
        "POST /api/v1/auth/token",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact_text(text) == text


def test_fields_are_blanked_by_their_names_at_any_depth() -> None:
    cleaned = redact({"user": "u", "nested": [{"Password": SECRET, "count": 3, "url": f"redis://:{SECRET}@h"}]})
    assert SECRET not in str(cleaned)
    assert cleaned["user"] == "u"
    assert cleaned["nested"][0]["count"] == 3


def test_what_is_nested_too_deeply_is_blanked_as_a_whole() -> None:
    value: object = SECRET
    for _ in range(2_000):
        value = {"x": value}
    assert SECRET not in str(redact(value))


@pytest.mark.parametrize("unit", ["a", "-", "a.", "password", "://", "x://:", "'", '"\\', "cookie=", "bearer ", "eyJ."])
def test_long_hostile_texts_take_no_long_time(unit: str) -> None:
    began = time.perf_counter()
    cleaned = redact_text(unit * 100_000)
    assert time.perf_counter() - began < 3
    assert len(cleaned) <= 4 * LONGEST
