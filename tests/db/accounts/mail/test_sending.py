"""The worker that sends mails, with a real SMTP server."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db.models.functions import Now
from pytest_django import Settings

from accounts.mail import outbox, sending
from accounts.models import MailKind, OneTimeToken, OutgoingMail, User
from instafeed.core.jobs.leased import JobState, Outcome
from instafeed.core.mail import url as mail_url
from tests.support.database_clock import assert_sets_ahead
from tests.support.factories import UserFactory
from tests.support.mails import token_in
from tests.support.metric_values import MetricChange
from tests.support.smtp_server import ReceivedMail, SmtpServer

pytestmark = pytest.mark.django_db


@pytest.fixture
def server(settings: Settings) -> Iterator[SmtpServer]:
    with SmtpServer() as server:
        use(server.url, settings)
        yield server


def use(url: str, settings: Settings) -> None:
    for name, value in mail_url.parse(url).items():
        setattr(settings, name, value)


def queue_mail(address: str = "ann@example.org", kind: MailKind = MailKind.PASSWORD_NOTICE) -> OutgoingMail:
    outbox.enqueue(kind, address, UserFactory(email=address, email_verified=kind != MailKind.VERIFY))
    return OutgoingMail.objects.latest("pk")


def make_due() -> None:
    OutgoingMail.objects.filter(state=JobState.PENDING).update(due_at=Now())


def end_leases() -> None:
    OutgoingMail.objects.filter(state=JobState.RUNNING).update(due_at=Now())


def test_a_mail_has_text_html_and_headers_and_leaves_no_row(server: SmtpServer, settings: Settings) -> None:
    settings.SITE_NAME, settings.MAIL_FROM = "Harbour & Co", "Harbour <noreply@example.org>"
    queue_mail("Ann@example.org", MailKind.VERIFY)
    sent = MetricChange("instafeed_mails_total", kind="verify", outcome="sent")
    assert sending.process_next() is Outcome.FINISHED
    assert sent.by == 1
    (message,) = server.sent_to("Ann@example.org")
    assert message["From"] == "Harbour <noreply@example.org>"
    assert message["Subject"] == "Confirm your address for Harbour & Co"
    assert message["Message-ID"].endswith("@example.org>")
    assert message["Auto-Submitted"] == "auto-generated"
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    assert text is not None
    assert html is not None
    link = settings.EMAIL_VERIFY_URL.partition("{")[0]
    assert link in text.get_content()
    assert link in html.get_content()
    assert "Harbour & Co" in text.get_content()
    assert "Harbour &amp; Co" in html.get_content()
    assert not OutgoingMail.objects.exists()


def test_a_refused_recipient_is_given_up_and_delays_no_other(server: SmtpServer) -> None:
    server.refusals["bad@example.org"] = 550
    bad = queue_mail("bad@example.org")
    queue_mail("good@example.org")
    assert [sending.process_next() for _ in range(3)] == [Outcome.FINISHED, Outcome.FINISHED, Outcome.UNCLAIMED]
    assert len(server.sent_to("good@example.org")) == 1
    bad.refresh_from_db()
    assert (bad.state, bad.error) == (JobState.DEAD, "The mail server refused the recipient with code 550.")


def test_a_recipient_that_is_refused_for_now_is_tried_later(server: SmtpServer) -> None:
    server.refusals["busy@example.org"] = 450
    busy = queue_mail("busy@example.org")
    queue_mail("good@example.org")
    assert [sending.process_next() for _ in range(2)] == [Outcome.FAILED, Outcome.FINISHED]
    busy.refresh_from_db()
    assert (busy.state, busy.attempts) == (JobState.PENDING, 1)
    server.refusals.clear()
    make_due()
    assert sending.process_next() is Outcome.FINISHED
    assert len(server.sent_to("busy@example.org")) == 1


def test_a_dead_server_delays_mails_longer_each_time(settings: Settings) -> None:
    with SmtpServer() as server:
        use(server.url, settings)
    mail = queue_mail()
    for seconds in (10, 20, 40, 80):
        with assert_sets_ahead(OutgoingMail.objects.all(), "due_at", timedelta(seconds=seconds)):
            assert sending.process_next() is Outcome.FAILED
        mail.refresh_from_db()
        assert mail.uncertain == 0
        make_due()
    assert "ann@" not in mail.error
    with SmtpServer(server.port) as again:
        assert sending.process_next() is Outcome.FINISHED
        assert len(again.mails) == 1


def test_a_mail_is_given_up_after_three_days(settings: Settings) -> None:
    with SmtpServer() as server:
        use(server.url, settings)
    mail = queue_mail()
    sending.process_next()
    OutgoingMail.objects.update(created_at=Now() - outbox.MAX_AGE + timedelta(minutes=1), due_at=Now())
    assert sending.process_next() is Outcome.FAILED
    OutgoingMail.objects.update(created_at=Now() - outbox.MAX_AGE - timedelta(minutes=1), due_at=Now())
    given_up = MetricChange("instafeed_mails_total", kind=mail.kind, outcome="given_up")
    sending.process_next()
    assert given_up.by == 1
    mail.refresh_from_db()
    assert mail.state == JobState.DEAD
    assert outbox.delete_given_up(mail.due_at + timedelta(seconds=1))
    assert not OutgoingMail.objects.exists()


def test_a_refused_content_is_tried_again_and_again(server: SmtpServer) -> None:
    """The server said that it did not take the mail, so nothing is uncertain."""
    server.before_answer = lambda mail: "451 no space"
    mail = queue_mail()
    for _ in range(4):
        assert sending.process_next() is Outcome.FAILED
        make_due()
    server.before_answer = lambda mail: None
    assert sending.process_next() is Outcome.FINISHED
    assert len(server.sent_to(mail.address)) == 1


def test_a_mail_whose_content_left_without_an_answer_is_sent_at_most_twice(server: SmtpServer) -> None:
    attempts = []

    def hang_up(mail: ReceivedMail) -> str | None:
        attempts.append(mail)
        raise ConnectionError

    server.before_answer = hang_up
    mail = queue_mail()
    for _ in range(4):
        sending.process_next()
        make_due()
    assert len(attempts) == 2
    mail.refresh_from_db()
    assert mail.state == JobState.DEAD


def test_a_connection_that_ends_before_the_content_is_tried_again_and_again(server: SmtpServer) -> None:
    def hang_up(recipient: str) -> str | None:
        raise ConnectionError

    server.before_recipient = hang_up
    queue_mail()
    for _ in range(4):
        assert sending.process_next() is Outcome.FAILED
        make_due()
    server.before_recipient = lambda recipient: None
    assert sending.process_next() is Outcome.FINISHED
    assert len(server.mails) == 1


def test_a_worker_that_was_overtaken_does_not_send_the_content(server: SmtpServer) -> None:
    queue_mail()
    (overtaken,) = outbox.queue.claim_due(1)
    end_leases()
    (mail,) = outbox.queue.claim_due(1)
    assert sending.process(overtaken) is Outcome.OVERTAKEN
    assert server.mails == []
    assert sending.process(mail) is Outcome.FINISHED
    assert len(server.mails) == 1


def test_a_second_copy_has_the_link_and_the_message_id_of_the_first(server: SmtpServer) -> None:
    copies: list[ReceivedMail] = []

    def hang_up(mail: ReceivedMail) -> str | None:
        copies.append(mail)
        raise ConnectionError

    server.before_answer = hang_up
    queue_mail(kind=MailKind.VERIFY)
    for _ in range(2):
        sending.process_next()
        make_due()
    first, second = (copy.message for copy in copies)
    assert first["Message-ID"] == second["Message-ID"]
    assert token_in(first) == token_in(second)
    assert OneTimeToken.objects.count() == 1


def test_mails_that_are_no_longer_right_are_not_sent(server: SmtpServer) -> None:
    """The address was verified by another link, the password was changed, the account was suspended."""
    for change in (
        {"email_verified": True},
        {"password": "another"},
        {"is_active": False},
        {"email": "else@example.org"},
    ):
        queue_mail(kind=MailKind.VERIFY)
        User.objects.filter(email="ann@example.org").update(**change)
        assert sending.process_next() is Outcome.FINISHED
        User.objects.update(email="")
    assert server.mails == []
    assert not OneTimeToken.objects.exists()
