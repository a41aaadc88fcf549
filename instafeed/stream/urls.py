"""The paths that the process for streams answers. All others of the site are 404 there."""

from django.urls import path, re_path
from django.views.decorators.csrf import csrf_exempt

from instafeed.core.api.errors import api_not_found
from instafeed.core.monitoring import exporter
from instafeed.core.monitoring.health import live_view, ready_view
from instafeed.stream.views import StreamView

urlpatterns = [
    path("api/v1/stream", StreamView.as_view()),
    re_path(r"^api/", api_not_found),
    path("health/live", csrf_exempt(live_view)),
    path("health/ready", csrf_exempt(ready_view)),
    path("metrics", csrf_exempt(exporter.process_metrics_view)),
]

handler400 = "instafeed.core.api.errors.bad_request"
handler403 = "instafeed.core.api.errors.permission_denied"
handler404 = "instafeed.core.api.errors.not_found"
handler500 = "instafeed.core.api.errors.server_error"
