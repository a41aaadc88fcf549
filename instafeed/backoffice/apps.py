"""The back office: its templates and tables, and `InstafeedAdminSite` as the admin's default site."""

from __future__ import annotations

from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class BackofficeConfig(AppConfig):
    name = "instafeed.backoffice"
    label = "backoffice"


class InstafeedAdminConfig(AdminConfig):
    default_site = "instafeed.backoffice.site.InstafeedAdminSite"
