"""The project's URLs as in the embedded stack, where the app serves files itself."""

from django.urls import include, path

from instafeed.urls import handler400, handler403, handler404, handler500  # noqa: F401
from instafeed.urls import urlpatterns as _project

urlpatterns = [path("files/", include("media.storage.local.urls")), *_project]
