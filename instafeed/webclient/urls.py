"""The pages of the web client. One document serves all: the client's router reads the path (`js/routes.js`)."""

from django.urls import path

from instafeed.webclient import views

CLIENT_PATHS = (
    *("", "explore", "search", "notifications", "saved", "new"),
    *("login", "register", "verify-email", "forgot-password", "reset-password"),
    *("settings", "settings/<slug:section>", "tags/<str:tag>"),
    *("@<str:username>/followers", "@<str:username>/following"),
)

urlpatterns = [
    path("manifest.webmanifest", views.manifest),
    path("service-worker.js", views.service_worker),
    path("p/<str:post_id>", views.post_page),
    path("@<str:username>", views.profile_page),
    *(path(each, views.page) for each in CLIENT_PATHS),
]
