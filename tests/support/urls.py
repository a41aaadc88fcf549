"""A URL map for tests: views that fail in every way, and the real sign-in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import DataError, IntegrityError, OperationalError, connection
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import include, path, re_path
from django.urls.resolvers import URLPattern
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import User
from instafeed.core.api.errors import Conflict, api_not_found
from instafeed.core.api.idempotency import respond_idempotently
from instafeed.core.api.pagination.list_page import filtered_page_response
from instafeed.core.db.keyset import fetch_ids

handler400 = "instafeed.core.api.errors.bad_request"
handler403 = "instafeed.core.api.errors.permission_denied"
handler404 = "instafeed.core.api.errors.not_found"
handler500 = "instafeed.core.api.errors.server_error"


class PublicView(APIView):
    authentication_classes = []
    permission_classes = []


class Echo(PublicView):
    def post(self, request: Request) -> Response:
        return Response({"got": request.data})


class UserList(PublicView):
    """The ids of all users, newest first or oldest first."""

    kind = "newest"
    descending = True

    def get(self, request: Request) -> HttpResponse:
        def fetch(after: int | None, limit: int) -> tuple[list[int], bool]:
            return fetch_ids(User.objects.all(), "id", after, limit, descending=self.descending)

        def render(ids: Sequence[int]) -> list[tuple[int, bytes]]:
            return [(id_, b'"%d"' % id_) for id_ in ids]

        return filtered_page_response(request, self.kind, fetch, render)


class WithToken(APIView):
    def get(self, request: Request) -> Response:
        return Response({"user": request.user.get_username()})


class Create(APIView):
    """Create a user, once for each Idempotency-Key."""

    def post(self, request: Request) -> HttpResponse:
        def create() -> tuple[int, bytes]:
            return 201, b'{"id": "%d"}' % User.objects.create_user(request.query_params["name"]).pk

        assert request.user.pk is not None  # only a user with a token gets here
        return respond_idempotently(request, request.user.pk, create)


class TokenOptional(APIView):
    permission_classes = []

    def get(self, request: Request) -> Response:
        return Response({"user": request.user.get_username()})


def raising(name: str, error: Callable[[], Exception], base: type[APIView] = PublicView) -> URLPattern:
    def fail(self: Any, request: Request) -> NoReturn:
        raise error()

    view: type[APIView] = type("Fails", (base,), {"get": fail})
    return path(f"api/v1/{name}", view.as_view())


def bare_failure(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("not a DRF view, and a secret in its message")


def missing_post(request: HttpRequest) -> HttpResponse:
    raise Http404("No Post matches the given query.")


class StoresBadText(PublicView):
    def get(self, request: Request) -> Response:
        return Response({"found": User.objects.filter(bio="a\0b").exists()})


class StoresBigNumber(PublicView):
    def get(self, request: Request) -> Response:
        with connection.cursor() as cursor:
            cursor.execute("SELECT %s::bigint", [2**70])
        return Response({})


urlpatterns = [
    path("api/v1/", include("accounts.api.urls")),
    path("api/v1/echo", Echo.as_view()),
    path("api/v1/users", UserList.as_view()),
    path("api/v1/oldest", UserList.as_view(kind="oldest", descending=False)),
    path("api/v1/with-token", WithToken.as_view()),
    path("api/v1/create", Create.as_view()),
    path("api/v1/token-optional", TokenOptional.as_view()),
    path("api/v1/bare-failure", bare_failure),
    path("api/v1/bare-404", missing_post),
    path("bare-failure", bare_failure),
    path("api/v1/nul", StoresBadText.as_view()),
    path("api/v1/big", StoresBigNumber.as_view()),
    raising("crash", lambda: RuntimeError("a secret")),
    raising("404-django", lambda: Http404("No Post matches the given query.")),
    raising("404-drf", lambda: exceptions.NotFound("There was one, but you are blocked.")),
    raising("403", PermissionDenied),
    raising("conflict", Conflict),
    raising("integrity", lambda: IntegrityError("duplicate key")),
    raising("data", lambda: DataError("value out of range")),
    raising("no-database", lambda: OperationalError("connection refused")),
    raising("too-big", RequestDataTooBig),
    raising("suspicious", lambda: SuspiciousOperation("a secret")),
    re_path(r"^api/", api_not_found),
]
