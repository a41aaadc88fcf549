"""`Idempotency-Key`: a request that is sent twice runs once, and both get the same response bytes.

PostgreSQL is the store. The key's row is inserted in the transaction that it guards, so either both are committed
or neither, even if a process dies in between. A duplicate that arrives while the first request runs waits for its
commit, then repeats its response; if the first fails, the duplicate runs. Only successful responses are stored:
after an error the same key may be used again.

    def post(self, request: Request) -> HttpResponse:
        ...                                                       # validate: a 4xx leaves no trace anyway
        return respond_idempotently(request, author_id, create)   # create() -> (201, b'{"id": …}')
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from hashlib import sha256
from http import HTTPStatus
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS, connection, transaction
from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import APIException, ErrorDetail, ValidationError
from rest_framework.request import Request

from instafeed.core.api.openapi.components import error_response
from instafeed.core.db.batches import delete_batch
from instafeed.core.models import IdempotentResponse

KEY_HEADER = "Idempotency-Key"
REPLAYED_HEADER = "Idempotency-Replayed"
RESPONSE_TTL = timedelta(hours=24)
DELETE_BATCH_SIZE = 5_000  # rows

IDEMPOTENCY_PARAMETER = OpenApiParameter(
    KEY_HEADER,
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    pattern="^[!-~]{1,255}$",
    description="A key of your choice. A request repeated with the same key within 24 hours returns the first"
    " response again and creates nothing. With another body it is a 422.",
)
KEY_REUSED_RESPONSE = error_response(
    422, "idempotency_key_reused", "This Idempotency-Key was used for another request."
)
_KEY_PATTERN = re.compile(r"[!-~]{1,255}")

# Raw SQL: the ORM's upsert has no condition. The statement waits for another transaction's row of the same key. If
# that row is committed and not expired, the statement changes and returns nothing, but locks the row until the
# end of the transaction.
_CLAIM_SQL = """
    INSERT INTO core_idempotentresponse AS stored (user_id, digest, request_digest, status, body, created_at)
    VALUES (%s, %s, %s, 0, '', statement_timestamp())
    ON CONFLICT (user_id, digest) DO UPDATE
    SET request_digest = EXCLUDED.request_digest, created_at = EXCLUDED.created_at
    WHERE stored.created_at <= EXCLUDED.created_at - make_interval(secs => %s)
    RETURNING true
"""


class KeyReused(APIException):
    """The key was used for a request with another body."""

    status_code = HTTPStatus.UNPROCESSABLE_ENTITY
    default_detail = "This Idempotency-Key was used for another request."
    default_code = "idempotency_key_reused"


def respond_idempotently(request: Request, user_id: int, create: Callable[[], tuple[int, bytes]]) -> HttpResponse:
    """Return the response of `create()`, a status and a JSON body, or the stored response of the same request.

    `create` runs inside the transaction that stores its response, so it must defer caches, queues and all else
    that cannot be rolled back to `transaction.on_commit`. A status other than 2xx, or an exception, rolls back
    all that it wrote. Two requests are the same if user, method, path, key and the JSON of the body are equal.

    Raises ValidationError for a key that is not 1 to 255 visible ASCII characters, KeyReused for another body.
    """
    digest, body_digest = _identity_digest(request), _body_digest(request)
    with transaction.atomic():
        if digest is not None and not _claim(user_id, digest, body_digest):
            return _replay(user_id, digest, body_digest)
        status, body = create()
        if not 200 <= status < 300:
            transaction.set_rollback(True)
        elif digest is not None:
            IdempotentResponse.objects.filter(user_id=user_id, digest=digest).update(status=status, body=body)
    return HttpResponse(body, status=status, content_type="application/json")


def delete_older(before: datetime) -> bool:
    """Delete a batch of responses from before a time, but none that is still replayed. Return True if none is left."""
    limit = min(before, timezone.now() - RESPONSE_TTL)
    expired = IdempotentResponse.objects.using(DEFAULT_DB_ALIAS).filter(created_at__lte=limit)
    return delete_batch(expired.order_by("created_at"), DELETE_BATCH_SIZE)


def _identity_digest(request: Request) -> UUID | None:
    """Return 16 bytes for method, path and key; None without a key. A path itself may exceed an index row."""
    key = request.headers.get(KEY_HEADER)
    if key is None:
        return None
    if not _KEY_PATTERN.fullmatch(key):
        raise ValidationError({KEY_HEADER: [ErrorDetail("Must be 1 to 255 visible ASCII characters.", "invalid")]})
    identity = f"{request.method} {request.path}\n{key}".encode(errors="surrogatepass")
    return _short_hash(identity)


def _body_digest(request: Request) -> UUID:
    """Return 16 bytes that are the same for the same JSON, in any order of its fields."""
    return _short_hash(json.dumps(request.data, sort_keys=True, separators=(",", ":")).encode())


def _short_hash(data: bytes) -> UUID:
    return UUID(bytes=sha256(data).digest()[:16])


def _claim(user_id: int, digest: UUID, body_digest: UUID) -> bool:
    """Claim the request for this transaction; return False if a response is already stored."""
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM_SQL, [user_id, digest, body_digest, RESPONSE_TTL.total_seconds()])
        return cursor.fetchone() is not None


def _replay(user_id: int, digest: UUID, body_digest: UUID) -> HttpResponse:
    stored = IdempotentResponse.objects.using(DEFAULT_DB_ALIAS).get(user_id=user_id, digest=digest)
    if stored.request_digest != body_digest:
        raise KeyReused
    response = HttpResponse(bytes(stored.body), status=stored.status, content_type="application/json")
    response[REPLAYED_HEADER] = "true"
    return response
