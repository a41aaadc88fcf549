"""Give a message to a push service: encrypted for the browser (RFC 8291), in one request (RFC 8030).

The request is made here, not by pywebpush, from whose parts the rest is: that follows redirects and reads responses of
any length. No text here has the endpoint, which must not be logged.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum

import http_ece
import urllib3
from cryptography.hazmat.primitives.asymmetric import ec
from urllib3.exceptions import HTTPError

from social.models import PushSubscription
from social.push import vapid
from social.push.endpoints import origin_of

TIMEOUT = urllib3.Timeout(connect=5.0, read=5.0)  # seconds
MAX_CONNECTIONS = 20  # kept open to each push service
MIN_DELAY, MAX_DELAY = timedelta(seconds=1), timedelta(hours=1)  # of what Retry-After says
_MAX_RESPONSE_LENGTH = 16_384  # bytes that are read, so that the connection can be used again

http = urllib3.PoolManager(maxsize=MAX_CONNECTIONS, timeout=TIMEOUT, retries=False)


class Answer(StrEnum):
    """What became of a message. The values label metrics."""

    SENT = "sent"
    GONE = "gone"  # the browser has no such subscription any more
    REJECTED = "rejected"  # the service will never accept this message
    THROTTLED = "throttled"  # later
    UNREACHABLE = "unreachable"  # no answer, or an error of the service: later


@dataclass(frozen=True, slots=True)
class Result:
    answer: Answer
    detail: str = ""  # why it was not sent
    retry_after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """What to send, to which browser. `topic`: replaces the message of this topic that the browser has not got yet."""

    subscription: PushSubscription
    content: bytes
    topic: str  # 32 characters of base64url at most
    ttl: timedelta  # how long the service keeps it for a browser that is offline


def send(message: Message) -> Result:
    """Send a message. Does not raise for anything that the push service does. Safe to call in threads."""
    endpoint = message.subscription.endpoint
    headers = {
        "Authorization": vapid.authorization(origin_of(endpoint)),
        "Content-Encoding": "aes128gcm",
        "Content-Type": "application/octet-stream",
        "TTL": str(int(message.ttl.total_seconds())),
        "Topic": message.topic,
        "Urgency": "normal",
    }
    try:
        response = http.request(
            "POST", endpoint, body=_encrypt(message), headers=headers, redirect=False, preload_content=False
        )
        try:
            response.read(_MAX_RESPONSE_LENGTH, decode_content=False)
        finally:
            response.close()  # the connection too, unless all was read
    except (HTTPError, OSError) as error:
        return Result(Answer.UNREACHABLE, f"The push service did not answer ({type(error).__name__}).")
    return _read_response(response.status, response.headers.get("Retry-After", ""))


def _encrypt(message: Message) -> bytes:
    body: bytes = http_ece.encrypt(
        message.content,
        private_key=ec.generate_private_key(ec.SECP256R1()),
        dh=bytes(message.subscription.p256dh),
        auth_secret=bytes(message.subscription.auth),
        version="aes128gcm",
    )
    return body


def _read_response(status: int, retry_after: str) -> Result:
    detail = f"The push service answered {status}."
    if 200 <= status < 300:
        return Result(Answer.SENT)
    if status in (404, 410):
        return Result(Answer.GONE, detail)
    if status == 429:
        return Result(Answer.THROTTLED, detail, parse_retry_after(retry_after))
    if status >= 500:
        return Result(Answer.UNREACHABLE, detail, parse_retry_after(retry_after))
    return Result(Answer.REJECTED, detail)


def parse_retry_after(value: str) -> timedelta | None:
    """Return how long to wait, within bounds; None if the header says nothing. It has seconds or a date."""
    if value.isascii() and value.isdigit():
        seconds = float(value[:9])
    else:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except (TypeError, ValueError, OverflowError):
            return None
    return min(max(timedelta(seconds=seconds), MIN_DELAY), MAX_DELAY)
