"""Makes `InstafeedAdminSite` the admin's default site."""

from __future__ import annotations

from django.contrib.admin.apps import AdminConfig


class InstafeedAdminConfig(AdminConfig):
    default_site = "instafeed.admin.site.InstafeedAdminSite"
