"""The admin site: permissions, the models shown, sign-in, password change, the index page and statistics."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.template.response import TemplateResponse
from django.urls import path, reverse

from instafeed.backoffice import sign_in
from instafeed.backoffice.dashboard import views
from instafeed.backoffice.statistics import page

# Third-party apps' admin pages are left out: they count whole tables and show the secrets of second factors.
SHOWN_APPS = frozenset({"auth", "accounts", "social", "media", "posts", "feeds", "backoffice"})


class InstafeedAdminSite(admin.AdminSite):
    site_header = site_title = "instafeed"
    index_title = "Moderation and operations"
    enable_nav_sidebar = False  # wide lists need the space; the index page has all links
    login_form = sign_in.SignInForm
    login_template = "admin/sign_in.html"

    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        """Register only the models of `SHOWN_APPS`."""
        models: Iterable[type[Model]] = (
            [model_or_iterable] if isinstance(model_or_iterable, type) else model_or_iterable
        )
        shown = [model for model in models if model._meta.app_label in SHOWN_APPS]
        super().register(shown, admin_class, **options)

    def has_permission(self, request: HttpRequest) -> bool:
        """Admit active staff; with ADMIN_OTP only after a second factor."""
        allowed = super().has_permission(request)
        return allowed and (not settings.ADMIN_OTP or request.user.is_verified())  # type: ignore[union-attr]  # by OTPMiddleware

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if request.method == "POST" and (wait := sign_in.throttle_sign_in(request)) is not None:
            return self._too_many_attempts(request, wait)
        return super().login(request, extra_context)

    def password_change(  # type: ignore[override]  # Django's is declared too narrowly
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponseBase:
        if request.method == "POST" and (wait := sign_in.throttle_password_change(request)) is not None:
            return self._too_many_attempts(request, wait)
        view = sign_in.StaffPasswordChangeView.as_view(
            success_url=reverse("admin:password_change_done", current_app=self.name),
            extra_context={**self.each_context(request), **(extra_context or {})},
        )
        return view(request)

    def _too_many_attempts(self, request: HttpRequest, wait: int) -> HttpResponse:
        context = {**self.each_context(request), "title": "Too many attempts", "wait": wait}
        response = render(request, "admin/too_many_attempts.html", context, status=429)
        response["Retry-After"] = str(wait)
        return response

    def get_urls(self) -> list[Any]:
        return [path("statistics/", self.admin_view(self.statistics), name="statistics"), *super().get_urls()]

    def statistics(self, request: HttpRequest) -> HttpResponse:
        context = {**self.each_context(request), **page.context(request)}
        return TemplateResponse(request, "backoffice/statistics.html", context)

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        return super().index(request, {**(extra_context or {}), **views.index_context(request)})
