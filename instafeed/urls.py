"""The URL map: the API under /api/v1, operations, schema and docs, the admin, and the web client."""

from django.conf import settings
from django.contrib import admin
from django.urls import include, path, re_path
from django.views.decorators.csrf import csrf_exempt
from drf_spectacular.views import SpectacularSwaggerSplitView

from instafeed.core.api.errors import api_not_found
from instafeed.core.api.openapi.docs import openapi_document
from instafeed.core.monitoring import exporter
from instafeed.core.monitoring.health import health_view, live_view, ready_view
from instafeed.instance import InstanceView
from instafeed.stream.views import StreamView

PUBLIC_VIEW: dict[str, list[type]] = {"permission_classes": [], "authentication_classes": [], "throttle_classes": []}

urlpatterns = [
    path("api/v1/", include("feeds.api.urls")),  # first, as most requests are for a feed
    path("api/v1/", include("accounts.api.urls")),
    path("api/v1/", include("social.api.urls")),
    path("api/v1/", include("posts.api.urls")),
    path("api/v1/", include("media.api.urls")),
    path("api/v1/", include("instafeed.exports.api.urls")),
    path("api/v1/instance", InstanceView.as_view()),
    path("api/v1/stream", StreamView.as_view()),
    re_path(r"^api/", api_not_found),
    # Exempt from CSRF checks, whose error page would replace the 405 for other methods.
    path("health", csrf_exempt(health_view)),
    path("health/live", csrf_exempt(live_view)),
    path("health/ready", csrf_exempt(ready_view)),
    path("metrics", csrf_exempt(exporter.metrics_view)),
    path("schema", csrf_exempt(openapi_document), name="schema"),
    path("docs", SpectacularSwaggerSplitView.as_view(template_name="instafeed/docs.html", **PUBLIC_VIEW)),
    path("admin/", admin.site.urls),
    path("", include("instafeed.webclient.urls")),
]

if settings.SERVE_FILES:
    urlpatterns.append(path(settings.MEDIA_URL.removeprefix("/"), include("media.storage.local.urls")))

handler400 = "instafeed.core.api.errors.bad_request"
handler403 = "instafeed.core.api.errors.permission_denied"
handler404 = "instafeed.webclient.views.not_found"
handler500 = "instafeed.core.api.errors.server_error"
