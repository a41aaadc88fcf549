"""A minimal site that reads and writes the notes of one table; a header names the user."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django.db import connection, models, transaction
from django.http import HttpRequest, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from instafeed.core.db.replicas import session
from instafeed.core.models import Invalidation
from instafeed.core.monitoring.health import health_view, live_view, ready_view


class IsStandby(models.Aggregate):
    """Whether a standby ran the query. An aggregate returns a row even for an empty table."""

    template = "(count(*) >= 0 AND pg_is_in_recovery())"
    output_field = models.BooleanField()


class ServerPort(models.Aggregate):
    """The port of the server that ran the query."""

    template = "(0 * count(*) + inet_server_port())"
    output_field = models.IntegerField()


def _list_notes() -> JsonResponse:
    rows = list(Invalidation.objects.order_by("pk").values_list("keys", flat=True))
    return JsonResponse({"values": [row[0] for row in rows], "standby": ran_on_standby()})


def ran_on_standby() -> bool:
    return bool(Invalidation.objects.aggregate(standby=IsStandby("pk"))["standby"])


def _identify(request: HttpRequest) -> None:
    if user := request.headers.get("X-User"):
        session.identify_user(int(user))


@csrf_exempt
def notes(request: HttpRequest) -> HttpResponseBase:
    _identify(request)
    if request.method == "GET":
        return _list_notes()
    value = request.POST["value"]
    if new_user := request.POST.get("new_user"):
        session.identify_user(int(new_user))  # as registration does
    if request.POST.get("raw"):
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO core_invalidation (keys, created_at) VALUES (%s, now())", [[value]])
    else:
        with transaction.atomic():
            Invalidation.objects.create(keys=[value])
    if request.POST.get("fail"):
        raise RuntimeError("after the commit")
    return JsonResponse({}, status=201)


def server(request: HttpRequest) -> HttpResponseBase:
    _identify(request)
    values = [keys[0] for keys in Invalidation.objects.order_by("pk").values_list("keys", flat=True)]
    return JsonResponse({"values": values, "port": Invalidation.objects.aggregate(port=ServerPort("pk"))["port"]})


def guarded(request: HttpRequest) -> HttpResponseBase:
    _identify(request)
    with session.use_primary():
        return _list_notes()


def in_transaction(request: HttpRequest) -> HttpResponseBase:
    with transaction.atomic():
        inside = ran_on_standby()
    return JsonResponse({"inside": inside, "outside": ran_on_standby()})


def reads_then_writes(request: HttpRequest) -> HttpResponseBase:
    _identify(request)
    before = ran_on_standby()
    note = Invalidation.objects.order_by("pk").first()
    assert note is not None
    note.keys = ["changed"]
    note.save()
    return JsonResponse({"before": before, "after": ran_on_standby()})


def old_page(request: HttpRequest) -> HttpResponseBase:
    moment = datetime.now(UTC) - timedelta(seconds=int(request.GET["ago"]))
    outside = ran_on_standby()
    with session.reading_before(moment):
        inside = ran_on_standby()
    return JsonResponse({"inside": inside, "outside": outside})


def streamed(request: HttpRequest) -> HttpResponseBase:
    return StreamingHttpResponse(str(ran_on_standby()) for _ in range(1))


def no_sql(request: HttpRequest) -> HttpResponseBase:
    _identify(request)
    return JsonResponse({})


urlpatterns = [
    path("notes", notes),
    path("server", server),
    path("guarded", guarded),
    path("in-transaction", in_transaction),
    path("reads-then-writes", reads_then_writes),
    path("old-page", old_page),
    path("streamed", streamed),
    path("no-sql", no_sql),
    path("admin/notes", notes),
    path("health", health_view),
    path("health/live", live_view),
    path("health/ready", ready_view),
]
