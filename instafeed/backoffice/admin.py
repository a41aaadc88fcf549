"""Operator jobs in the admin: their list, a page for each job, and the forms that start one."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString

from accounts.models import User
from instafeed.backoffice.jobs import services
from instafeed.backoffice.jobs.kinds import KINDS
from instafeed.backoffice.jobs.view import JobView
from instafeed.backoffice.models import OperatorJob
from instafeed.core.admin.base import BaseModelAdmin
from instafeed.core.admin.display import object_link, state_badge
from instafeed.core.admin.urls import change_url, changelist_url, url_name
from instafeed.core.db.snowflake import parse_id


@admin.register(OperatorJob)
class OperatorJobAdmin(BaseModelAdmin):
    list_display = ("label", "status", "progress", "requested_by", "created_at", "started_at", "ended_at")
    change_list_template = "backoffice/operator_jobs.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[OperatorJob]:
        return super().get_queryset(request).select_related("task_result").defer("log", "checkpoint")

    def get_urls(self) -> list[URLPattern]:
        def route(pattern: str, view: Any, page: str) -> URLPattern:
            return path(pattern, self.admin_site.admin_view(view), name=url_name(self.model, page))

        return [
            route("start/<slug:kind>/", self.start_view, "start"),
            route("<path:object_id>/cancel/", self.cancel_view, "cancel"),
            *super().get_urls(),
        ]

    def has_run_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request) and request.user.has_perm("backoffice.run_operatorjob")

    # --- The list --------------------------------------------------------------------------------------

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        context = {"title": "Operator jobs", "kinds": KINDS if self.has_run_permission(request) else {}}
        return super().changelist_view(request, context | (extra_context or {}))

    @admin.display(description="job")
    def label(self, job: OperatorJob) -> str:
        return JobView(job).label

    @admin.display(description="status")
    def status(self, job: OperatorJob) -> SafeString:
        view = JobView(job)
        return state_badge(view.status, view.style)

    @admin.display(description="progress")
    def progress(self, job: OperatorJob) -> str:
        return JobView(job).progress_text

    @admin.display(description="by")
    def requested_by(self, job: OperatorJob) -> str:
        return object_link(User, job.requested_by_id, job.requested_by_name)

    # --- One job ---------------------------------------------------------------------------------------

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_view_permission(request) or request.method not in ("GET", "HEAD"):
            raise PermissionDenied
        job = self._find(object_id)
        view = JobView(job)
        context = {
            **self.admin_site.each_context(request),
            "title": f"{view.label} ({job.pk})",
            "opts": self.opts,
            "job": job,
            "view": view,
            "badge": state_badge(view.status, view.style),
            "requested_by": self.requested_by(job),
            "may_cancel": self.has_run_permission(request),
        }
        return TemplateResponse(request, "backoffice/operator_job.html", context)

    def cancel_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        if not self.has_run_permission(request):
            raise PermissionDenied
        job = self._find(object_id)
        if request.method == "POST":
            if services.cancel(job.pk, cast(User, request.user)):
                self.message_user(request, "The job is cancelled. What it has done stays.")
            else:
                self.message_user(request, "The job had ended already.", messages.WARNING)
        return HttpResponseRedirect(change_url(self.model, job.pk))

    def _find(self, object_id: str) -> OperatorJob:
        """Return the job with its log. Raises Http404."""
        pk = parse_id(unquote(object_id))
        job = OperatorJob.objects.select_related("task_result").filter(pk=pk).first() if pk else None
        if job is None:
            raise Http404("There is no such job.")
        return job

    # --- Start a job -----------------------------------------------------------------------------------

    def start_view(self, request: HttpRequest, kind: str) -> HttpResponse:
        if not self.has_run_permission(request):
            raise PermissionDenied
        if kind not in KINDS:
            raise Http404("There is no such kind of job.")
        form = KINDS[kind].form(request.POST if request.method == "POST" else None)
        unfinished = services.find_unfinished(kind)
        if form.is_valid():
            try:
                job = services.start(kind, form.arguments(), cast(User, request.user))
            except services.AlreadyRunning:
                unfinished = services.find_unfinished(kind)
            else:
                self.message_user(request, "The job starts when a worker is free.")
                return HttpResponseRedirect(change_url(self.model, job.pk))
        context = {
            **self.admin_site.each_context(request),
            "title": KINDS[kind].label,
            "opts": self.opts,
            "kind": KINDS[kind],
            "form": form,
            "unfinished": unfinished,
            "unfinished_url": change_url(self.model, unfinished.pk) if unfinished else "",
            "list_url": changelist_url(self.model),
            "start_url": reverse(f"admin:{url_name(self.model, 'start')}", args=[kind]),
        }
        status = 409 if request.method == "POST" and form.is_valid() else 200
        return TemplateResponse(request, "backoffice/start_operator_job.html", context, status=status)
