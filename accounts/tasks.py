"""Periodic maintenance of accounts. All tasks are safe to run twice."""

from celery import shared_task

from accounts import captcha, erasure_worker, former_usernames, services, sessions
from accounts.mail import one_time_tokens, sending


@shared_task
def flush_expired_tokens() -> None:
    """Delete sessions whose tokens have all expired, and expired tokens of mails, reservations and captchas."""
    sessions.delete_expired()
    one_time_tokens.delete_expired()
    former_usernames.delete_expired()
    captcha.delete_expired()


@shared_task
def lift_suspensions() -> None:
    """Reinstate accounts whose suspension has ended."""
    services.lift_due_suspensions()


@shared_task
def erase_accounts() -> None:
    """Erase a part of a deleted account, for about a second."""
    erasure_worker.process_next()


# Both limits end before the lease of the mail (accounts.mail.outbox), in seconds.
@shared_task(soft_time_limit=20, time_limit=25)
def send_mails() -> None:
    """Send the mail that is due longest, and request this task again while others are due."""
    sending.process_next()
