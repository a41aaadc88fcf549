"""Mails as files, for the embedded stack."""

from __future__ import annotations

from pathlib import Path

from django.core.mail import EmailMessage
from pytest_django import Settings

from instafeed.core.mail.backends import FileBackend


def test_each_mail_is_a_private_file_named_after_its_recipient(tmp_path: Path, settings: Settings) -> None:
    settings.EMAIL_FILE_PATH = str(tmp_path / "mail")
    messages = [EmailMessage("Hello", "Text", "me@example.org", [to]) for to in ("a@example.org", "../b/c@example.org")]
    assert FileBackend().send_messages(messages) == 2
    files = sorted((tmp_path / "mail").iterdir())
    assert [file.name.split("-")[1] for file in files] == ["a@example.org", ".._b_c@example.org"]
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert "Subject: Hello" in files[0].read_text()
