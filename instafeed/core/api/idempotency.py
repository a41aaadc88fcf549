"""`Idempotency-Key`: a request that is sent twice is done once, and answered twice with the same bytes.

PostgreSQL is the store: the key's row is inserted in the transaction of what it guards, so both are there
or neither is, whatever dies in between. A duplicate that arrives while the first is still at work waits for
its commit, then repeats its answer; if the first fails, the duplicate goes on by itself. Only answers of
success are kept: after an error the same key may be tried again.

    def post(self, request: Request) -> HttpResponse:
        ...                                                  # validate: a 4xx leaves no trace anyway
        return idempotent(request, author_id, create)        # create() -> (201, b'{"id": …}')
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from hashlib import sha256
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS, connection, transaction
from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.request import Request

from instafeed.core.models import IdempotentAnswer

KEY_HEADER = "Idempotency-Key"
REPLAYED_HEADER = "Idempotency-Replayed"
RESPONSE_TTL = timedelta(hours=24)
DELETE_BATCH_SIZE = 5_000  # rows

IDEMPOTENCY_PARAMETER = OpenApiParameter(
    KEY_HEADER,
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    pattern="^[!-~]{1,255}$",
    description="Sent again within 24 hours, the same key gives the first answer again and creates nothing.",
)
_KEY_PATTERN = re.compile(r"[!-~]{1,255}")

# Raw, as the ORM's upsert knows no condition. Waits for another transaction's row of the same key; finding one
# that is still good, it changes nothing and returns nothing, but holds that row until the transaction's end.
_CLAIM_SQL = """
    INSERT INTO core_idempotentanswer AS kept (user_id, digest, status, body, created_at)
    VALUES (%s, %s, 0, '', statement_timestamp())
    ON CONFLICT (user_id, digest) DO UPDATE SET created_at = EXCLUDED.created_at
    WHERE kept.created_at <= EXCLUDED.created_at - make_interval(secs => %s)
    RETURNING true
"""


def respond_idempotently(request: Request, user_id: int, create: Callable[[], tuple[int, bytes]]) -> HttpResponse:
    """The answer of `create()`, a status and a JSON body, or the one that was given to the same request before.

    `create` runs inside the transaction that keeps its answer, so it must leave caches, queues and whatever
    else cannot be rolled back to `transaction.on_commit`. A status other than 2xx, or an exception, undoes
    all that it wrote. "The same request" is the same user, method, path and key; its body is not compared.
    Raises ValidationError for a key that is not 1 to 255 visible ASCII characters.
    """
    digest = _request_digest(request)
    with transaction.atomic():
        if digest is not None and not _claim(user_id, digest):
            return _replay(user_id, digest)
        status, body = create()
        if not 200 <= status < 300:
            transaction.set_rollback(True)
        elif digest is not None:
            IdempotentAnswer.objects.filter(user_id=user_id, digest=digest).update(status=status, body=body)
    return HttpResponse(body, status=status, content_type="application/json")


def delete_expired() -> int:
    """Delete answers that are no longer kept; returns their number."""
    deleted = 0
    while True:
        expired = IdempotentAnswer.objects.using(DEFAULT_DB_ALIAS).filter(created_at__lte=timezone.now() - RESPONSE_TTL)
        batch = list(expired.values_list("pk", flat=True)[:DELETE_BATCH_SIZE])
        if not batch:
            return deleted
        # Once more with the age: a key may have been taken over since it was listed.
        deleted += expired.filter(pk__in=batch).delete()[0]


def delete_for_user(user_id: int) -> None:
    """Delete a user's answers: their bodies repeat what the user wrote."""
    IdempotentAnswer.objects.filter(user_id=user_id).delete()


def _request_digest(request: Request) -> UUID | None:
    """Names a user's request in 16 bytes, where its path could exceed what an index takes; None without a key."""
    key = request.headers.get(KEY_HEADER)
    if key is None:
        return None
    if not _KEY_PATTERN.fullmatch(key):
        raise ValidationError({KEY_HEADER: [ErrorDetail("Must be 1 to 255 visible ASCII characters.", "invalid")]})
    named = f"{request.method} {request.path}\n{key}".encode(errors="surrogatepass")
    return UUID(bytes=sha256(named).digest()[:16])


def _claim(user_id: int, digest: UUID) -> bool:
    """True if the request is to be done now; False if its answer is kept."""
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM_SQL, [user_id, digest, RESPONSE_TTL.total_seconds()])
        return cursor.fetchone() is not None


def _replay(user_id: int, digest: UUID) -> HttpResponse:
    kept = IdempotentAnswer.objects.using(DEFAULT_DB_ALIAS).get(user_id=user_id, digest=digest)
    answer = HttpResponse(bytes(kept.body), status=kept.status, content_type="application/json")
    answer[REPLAYED_HEADER] = "true"
    return answer
