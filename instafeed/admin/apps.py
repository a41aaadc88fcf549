"""Makes `InstafeedAdminSite` the admin's default site."""

from __future__ import annotations

from django.contrib.admin.apps import AdminConfig


class InstafeedAdminConfig(AdminConfig):
    default_site = "instafeed.admin.site.InstafeedAdminSite"

    def ready(self) -> None:
        super().ready()
        from instafeed.admin import groups  # noqa: F401  (after Django's own, which it replaces)
