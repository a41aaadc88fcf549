"""Secrets are removed from log lines and error reports; all other text stays readable."""

from __future__ import annotations

import pytest

from instafeed.core.observability.redaction import MAX_TEXT_LENGTH, REDACTED, redact, redact_text
from tests.unit.linear_time import assert_linear_time

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
        f"{{'password': ['{SECRET}']}}",
        f"<QueryDict: {{'password': ['{SECRET}', '{SECRET}']}}>",
        f'{{"token": {{"a": "{SECRET}"}}}}',
        f'{{"token": {{"a": [1], "b": "] {SECRET}"}}}}',
        f"password=Wrapped('{SECRET}')",
        f'{{\\"refresh\\": \\"{SECRET}\\"}}',
        f'{{\\"refresh\\":\\"a \\\\\\" {SECRET}\\"}}',
        f'{{\\\\\\"refresh\\\\\\": [\\\\\\"{SECRET}\\\\\\"]}}',
        f"('aws_secret_access_key', '{SECRET}')",
        f"('Cookie', 'a={SECRET}; b={SECRET}')",
        f"(b'cookie', b'a={SECRET}')",
        f"[('Authorization', 'Token {SECRET}'), ('Host', 'x')]",
        f"<SecretAccessKey>{SECRET}</SecretAccessKey>",
        f'<ns:Password Type="text"><![CDATA[{SECRET}]]></ns:Password>',
        f"-----BEGIN RSA PRIVATE KEY-----\nMII\n{SECRET}\n-----END RSA PRIVATE KEY-----",
        f"key: -----BEGIN PRIVATE KEY-----\\nMII\\n{SECRET}\\n-----END PRIVATE KEY-----",
        f"-----BEGIN OPENSSH PRIVATE KEY-----\nMII{SECRET}",
        f"pwd={SECRET}",
        f"https://{SECRET}@o1.ingest.sentry.io/1",
    ],
)
def test_secrets_in_text_are_redacted(text: str) -> None:
    cleaned = redact_text(text)
    assert SECRET not in cleaned
    assert REDACTED in cleaned
    assert redact_text(f"before\n{text}\nafter").startswith("before\n"), "other lines stay"


@pytest.mark.parametrize("cut", [len(JWT), 100, 60, 30, 20])
def test_truncated_tokens_are_redacted(cut: int) -> None:
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
        "media 382934671031271425, attempt 2: the child process took longer than 60 s",
        "POST /api/v1/auth/token",
        "<QueryDict: {'page': ['2'], 'q': ['x']}>",
        "<RefreshToken object at 0x7f> of <a@example.org>",
        '<p class="x">a text</p>',
        "('username', 'someone')",
    ],
)
def test_harmless_text_stays(text: str) -> None:
    assert redact_text(text) == text


def test_sensitive_fields_are_redacted_at_any_depth() -> None:
    cleaned = redact({"user": "u", "nested": [{"Password": SECRET, "count": 3, "url": f"redis://:{SECRET}@h"}]})
    assert SECRET not in str(cleaned)
    assert cleaned["user"] == "u"
    assert cleaned["nested"][0]["count"] == 3


@pytest.mark.parametrize(
    "value",
    [
        {"password": [SECRET]},
        {"token": {"a": SECRET}},
        {"token": {"a": [{"b": (SECRET,)}]}},
        {"headers": [("Cookie", f"a={SECRET}"), ["X-Token", [SECRET]]]},
        {"of": {f"password={SECRET}"}},
        {"passwords": {SECRET}},
    ],
)
def test_sensitive_values_of_any_type_are_redacted(value: object) -> None:
    cleaned = str(redact(value))
    assert SECRET not in cleaned
    assert REDACTED in cleaned


def test_harmless_pairs_stay() -> None:
    assert redact([("Host", "x"), ["the token was refused", "why"]]) == [
        ["Host", "x"],
        ["the token was refused", "why"],
    ]


@pytest.mark.parametrize("space", [" ", "\n", "\u2028"])
def test_long_text_of_spaces_is_cut(space: str) -> None:
    assert redact_text(space * (MAX_TEXT_LENGTH + 1) + f"password={SECRET}") == " [cut]"


def test_deeply_nested_values_are_redacted() -> None:
    value: object = SECRET
    for _ in range(2_000):
        value = {"x": value}
    assert SECRET not in str(redact(value))


HOSTILE = [
    *("a", "-", "a.", "password", "://", "x://:", "'", '"\\', "cookie=", "bearer ", "eyJ."),
    *("password=[", "token={", "password=('", "token=[]", "[(", "('token', ", "password=x(", "=[{'"),
    *('\\"token\\": \\"', '\\"', "\\", 'token\\\\\\"', 'token\\\\\\":['),
    *("<token", "<a", "<token a=", "<token>", "<", "-----BEGIN PRIVATE KEY", "-----BEGIN ", "http://", "http://a"),
]


@pytest.mark.parametrize("unit", HOSTILE)
def test_hostile_texts_take_linear_time(unit: str) -> None:
    assert_linear_time(redact_text, (unit * MAX_TEXT_LENGTH)[:MAX_TEXT_LENGTH])


@pytest.mark.parametrize("unit", HOSTILE)
def test_long_texts_are_cut(unit: str) -> None:
    assert len(redact_text(unit * (1_000_000 // len(unit)))) <= 4 * MAX_TEXT_LENGTH
