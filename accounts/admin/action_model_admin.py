"""Base of admin pages with actions: bulk actions in lists, their confirmation page, and forms on a row's own page.

Every action is one POST to `act/<name>/`. It checks the permission, validates the form, and calls the service for each
row in a transaction of its own. Messages report what changed, what was done already and what was refused.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, cast

from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.options import IS_POPUP_VAR
from django.contrib.admin.utils import model_ngettext
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import BadRequest, PermissionDenied
from django.db import DEFAULT_DB_ALIAS
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.safestring import SafeString

from accounts.admin.actions import ActionInput, AdminAction, BoundAction
from accounts.models import AuditEntry, User
from accounts.moderation import ActionRefused
from instafeed.core.admin.base import PAGE_SIZE, BaseModelAdmin, BoundedChangeList
from instafeed.core.admin.urls import change_url, changelist_url, url_name
from instafeed.core.db.snowflake import parse_id

MAX_REFUSAL_MESSAGES = 5
FILTERS_PARAMETER = "_changelist_filters"  # Django's
NEXT_FIELD = "next"  # of an action's form: go on to the next row afterwards

ActionFunction = Callable[..., Any]


@dataclass
class ActionResult:
    """The subjects of one action by outcome."""

    changed: list[Any] = field(default_factory=list)
    unchanged: list[Any] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)  # messages
    changed_for_same_account: int = 0  # by `AdminAction.perform_for_same_account`


class PreloadedChangeList(BoundedChangeList):
    """A change list that loads what its columns show, one page at a time."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        model_admin = cast(ActionModelAdmin, self.model_admin)
        self.result_list: Any = model_admin.preload_rows(request, list(self.result_list))


class ActionModelAdmin(BaseModelAdmin):
    admin_actions: ClassVar[Sequence[AdminAction]] = ()
    list_title = ""

    class Media:
        css: ClassVar[dict[str, Any]] = {"all": ["accounts/moderation.css"]}

    # --- For subclasses ------------------------------------------------------------------------------

    def get_subjects(self, request: HttpRequest, rows: Sequence[Any]) -> Mapping[int, Any]:
        """Return the object that actions affect, by the row's primary key."""
        return {row.pk: row for row in rows}

    def get_target(self, subject: Any) -> tuple[str, int]:
        """Return the subject's type and id in the audit log."""
        raise NotImplementedError

    def get_affected_user_id(self, subject: Any) -> int:
        """Return the id of the user that an action on the subject affects."""
        raise NotImplementedError

    def get_unfit_bulk_actions(self, request: HttpRequest) -> Collection[str]:
        """Return the names of the actions that apply to no row of the list, as its filters say."""
        return ()

    def preload_rows(self, request: HttpRequest, rows: list[Any]) -> list[Any]:
        """Return a page of rows with what the list's columns need, at a fixed number of queries."""
        return rows

    # --- The list ------------------------------------------------------------------------------------

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return PreloadedChangeList

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return super().changelist_view(request, {"title": self.list_title} | (extra_context or {}))

    def get_actions(self, request: HttpRequest) -> dict[str, tuple[ActionFunction, str, str] | None]:
        if IS_POPUP_VAR in request.GET:
            return {}
        unfit = self.get_unfit_bulk_actions(request)
        actions = [action for action in self._permitted_actions(request) if action.in_bulk and action.name not in unfit]
        return {action.name: (_make_bulk_action(action), action.name, action.label) for action in actions}

    # --- Actions -------------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.action_view)
        return [path("act/<slug:name>/", view, name=self._action_route()), *super().get_urls()]

    def get_bound_actions(self, request: HttpRequest, row: Any, subject: Any) -> list[BoundAction]:
        """Return the actions that the moderator may perform on the subject now."""
        actions = [action for action in self._permitted_actions(request) if action.applies_to(subject)]
        return BoundAction.make_all(actions, {row.pk: subject})

    def action_view(self, request: HttpRequest, name: str) -> HttpResponse:
        """Perform an action, or show the confirmation page with the form's errors."""
        action = next((action for action in self.admin_actions if action.name == name), None)
        if action is None:
            raise Http404
        if request.method != "POST":  # for example after signing in again
            return HttpResponseRedirect(changelist_url(self.model))
        if not (request.user.has_perm(action.permission) and self.has_view_permission(request)):
            raise PermissionDenied
        subjects = self._chosen_subjects(request, request.POST.getlist("pk"))
        if not subjects:
            self.message_user(request, "This does not exist any more.", messages.WARNING)
            return HttpResponseRedirect(self.get_list_url(request))
        bound_action = BoundAction.make(action, subjects, request.POST)
        if not bound_action.form.is_valid():
            return self._render_confirmation(request, bound_action, subjects)
        result = self._perform(request, bound_action, subjects)
        return HttpResponseRedirect(self.get_return_url(request, list(subjects), result))

    def confirm_bulk_action(self, request: HttpRequest, action: AdminAction) -> HttpResponse:
        """Show the confirmation page of a bulk action. The list has validated the ids."""
        subjects = self._chosen_subjects(request, request.POST.getlist(ACTION_CHECKBOX_NAME))
        return self._render_confirmation(request, BoundAction.make(action, subjects), subjects)

    def _render_confirmation(
        self, request: HttpRequest, bound_action: BoundAction, subjects: Mapping[int, Any]
    ) -> HttpResponse:
        back = request.POST.get("back") or request.get_full_path()
        action, count = bound_action.action, len(subjects)
        context = {
            **self.admin_site.each_context(request),
            "title": f"{action.label}: {count} {model_ngettext(self.opts, count)}",
            "opts": self.opts,
            "media": self.media,
            "bound_action": bound_action,
            "rows": [(pk, subject, bound_action.versions.get(pk, 0)) for pk, subject in subjects.items()],
            "action_url": reverse(f"admin:{self._action_route()}", args=[action.name]),
            "back": back if _is_safe_url(request, back) and "/act/" not in back else self.get_list_url(request),
            "preserved_filters": self.get_preserved_filters(request),
            "moves_on": NEXT_FIELD in request.POST,
        }
        return TemplateResponse(request, "accounts/admin/confirmation.html", context)

    def _perform(self, request: HttpRequest, bound_action: BoundAction, subjects: Mapping[int, Any]) -> ActionResult:
        action, result = bound_action.action, ActionResult()
        try:
            for pk, subject in subjects.items():
                version = parse_id(request.POST.get(f"version-{pk}", "")) or 0
                seen = request.POST.get(f"seen-{pk}", "")
                data = {**bound_action.form.cleaned_data, "expected_version": version, "seen": seen}
                try:
                    self._perform_on(subject, action, cast(User, request.user), data, result)
                except ActionRefused as refusal:
                    result.refusals.append(f"{subject}: {refusal}")
        finally:  # also after an unexpected error: earlier subjects are committed
            if result.changed:
                action.after_commit(result.changed)
        self._report(request, action, subjects, result)
        return result

    def _perform_on(
        self, subject: Any, action: AdminAction, actor: User, data: ActionInput, result: ActionResult
    ) -> None:
        """Perform the action on one subject and add it to the result. Raises ActionRefused."""
        changed_accounts = map(self.get_affected_user_id, result.changed)
        if action.perform_for_same_account and self.get_affected_user_id(subject) in changed_accounts:
            result.changed_for_same_account += action.perform_for_same_account(actor, subject, data)
        elif action.perform(actor, subject, data):
            result.changed.append(subject)
        else:
            result.unchanged.append(subject)

    def _report(
        self, request: HttpRequest, action: AdminAction, subjects: Mapping[int, Any], result: ActionResult
    ) -> None:
        changed, unchanged, refusals, total = result.changed, result.unchanged, result.refusals, len(subjects)
        if changed and NEXT_FIELD in request.POST and total == 1:
            self.message_user(request, self._link_what_was_done(request, action, subjects))
        elif changed:
            count = "" if total == 1 else f"{len(changed)} "
            self.message_user(request, f"{count}{action.done_label}.")
        if result.changed_for_same_account:
            text = f"{result.changed_for_same_account} more of the same accounts closed."
            self.message_user(request, text)
        if unchanged:
            what = "This was" if total == 1 else f"{len(unchanged)} were"
            author = self._describe_author(action, unchanged[0]) if total == 1 else ""
            self.message_user(request, f"{what} already done{author}. Nothing changed.", messages.WARNING)
        for refusal in refusals[:MAX_REFUSAL_MESSAGES]:
            self.message_user(request, refusal, messages.ERROR)
        if len(refusals) > MAX_REFUSAL_MESSAGES:
            more = len(refusals) - MAX_REFUSAL_MESSAGES
            self.message_user(request, f"{more} more were refused.", messages.ERROR)

    def _link_what_was_done(self, request: HttpRequest, action: AdminAction, subjects: Mapping[int, Any]) -> SafeString:
        """Return the message for the next page, with a link back to the row, where the action can be undone."""
        ((pk, subject),) = subjects.items()
        return format_html('<a href="{}">{}</a>: {}.', self.get_row_url(request, pk), subject, action.done_label)

    def _describe_author(self, action: AdminAction, subject: Any) -> str:
        """Return who did the same action before, and when. Empty if no entry of this action exists."""
        account = ("user", self.get_affected_user_id(subject))
        target_type, target_id = account if action.on_account else self.get_target(subject)
        entries = AuditEntry.objects.using(DEFAULT_DB_ALIAS).filter(target_type=target_type, target_id=target_id)
        newest = entries.filter(action=action.audit_action or action.name).order_by("-pk").first()
        return f" by {newest.actor_name} at {newest.created_at:%Y-%m-%d %H:%M} UTC" if newest else ""

    def _permitted_actions(self, request: HttpRequest) -> list[AdminAction]:
        return [action for action in self.admin_actions if request.user.has_perm(action.permission)]

    def _chosen_subjects(self, request: HttpRequest, raw_ids: Sequence[str]) -> Mapping[int, Any]:
        """Return the subjects of these rows in the given order, at most one page."""
        ids = [parse_id(raw) for raw in raw_ids]
        if not ids or None in ids or len(ids) > PAGE_SIZE:
            raise BadRequest("no rows, or too many")
        rows = self.get_queryset(request).in_bulk(cast(list[int], ids))
        return self.get_subjects(request, [rows[pk] for pk in dict.fromkeys(ids) if pk in rows])

    # --- URLs ----------------------------------------------------------------------------------------

    def _action_route(self) -> str:
        return url_name(self.model, "act")

    def get_list_url(self, request: HttpRequest) -> str:
        """Return the URL of the list with the filters that the moderator came from."""
        query = self.get_list_query(request)
        return f"{changelist_url(self.model)}?{query}" if query else changelist_url(self.model)

    def get_list_query(self, request: HttpRequest) -> str:
        """Return the query string of the list that the moderator came from."""
        return QueryDict(QueryDict(self.get_preserved_filters(request)).get(FILTERS_PARAMETER, "")).urlencode()

    def get_row_url(self, request: HttpRequest, pk: int) -> str:
        """Return the URL of a row's page, which keeps the filters of the list."""
        filters = self.get_preserved_filters(request)
        return f"{change_url(self.model, pk)}?{filters}" if filters else change_url(self.model, pk)

    def get_return_url(self, request: HttpRequest, ids: Sequence[int], result: ActionResult) -> str:
        """Return the URL of the page where the action was chosen: the list as it was, or the row if it still exists."""
        back = request.POST.get("back", "")
        if back:
            return back if _is_safe_url(request, back) else self.get_list_url(request)
        exists = self.get_queryset(request).filter(pk__in=ids).exists()
        return self.get_row_url(request, ids[0]) if exists and len(ids) == 1 else self.get_list_url(request)


def _make_bulk_action(action: AdminAction) -> ActionFunction:
    def confirm(model_admin: ActionModelAdmin, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse:
        return model_admin.confirm_bulk_action(request, action)

    return confirm


def _is_safe_url(request: HttpRequest, url: str) -> bool:
    return url_has_allowed_host_and_scheme(url, {request.get_host()}, require_https=request.is_secure())
