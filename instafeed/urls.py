"""The URL map: the API under /api/v1, operations, schema and docs, the admin."""

from django.conf import settings
from django.contrib import admin
from django.urls import include, path, re_path
from django.views.decorators.csrf import csrf_exempt
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularSwaggerSplitView

from instafeed import scrape
from instafeed.api.docs import schema
from instafeed.api.errors import api_not_found
from instafeed.health import health, live, ready

OPEN: dict[str, list[type]] = {"permission_classes": [], "authentication_classes": [], "throttle_classes": []}

urlpatterns = [
    path("api/v1/", include("feeds.api.urls")),  # first: most requests are for a feed
    path("api/v1/", include("accounts.api.urls")),
    path("api/v1/", include("social.api.urls")),
    path("api/v1/", include("posts.api.urls")),
    path("api/v1/", include("media.api.urls")),
    re_path(r"^api/", api_not_found),
    # Exempt, as the check for forged requests would answer other methods with its own page instead of 405.
    path("health", csrf_exempt(health)),
    path("health/live", csrf_exempt(live)),
    path("health/ready", csrf_exempt(ready)),
    path("metrics", csrf_exempt(scrape.view)),
    path("schema", csrf_exempt(schema), name="schema"),
    path("docs", SpectacularSwaggerSplitView.as_view(template_name="instafeed/docs.html", **OPEN)),
    path("admin/", admin.site.urls),
    path("", RedirectView.as_view(url="/docs")),
]

if settings.SERVE_FILES:
    urlpatterns.append(path(settings.MEDIA_URL.removeprefix("/"), include("media.storage.urls")))

handler400 = "instafeed.api.errors.bad_request"
handler403 = "instafeed.api.errors.permission_denied"
handler404 = "instafeed.api.errors.not_found"
handler500 = "instafeed.api.errors.server_error"
