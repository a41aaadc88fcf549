"""Pages on which moderators act: lists with bulk actions, one page to confirm them, and forms on a row's own page.

Everything is one POST to `act/<name>/`, which asks for the right to it, checks the form, and calls the service for
each row, each in a transaction of its own. What could not be done is said in a message, as is what was done already.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, cast

from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.options import IS_POPUP_VAR
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import BadRequest, PermissionDenied
from django.db import DEFAULT_DB_ALIAS
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.http import url_has_allowed_host_and_scheme

from accounts.admin.actions import ActionInput, AdminAction, BoundAction
from accounts.models import AuditEntry, User
from accounts.moderation import ActionRefused
from instafeed.core.admin.base import PAGE_SIZE, BaseModelAdmin, BoundedChangeList
from instafeed.core.admin.urls import change_url, changelist_url, url_name
from instafeed.core.db.snowflake import parse_id

MAX_REFUSAL_MESSAGES = 5  # refusals told one by one

ActionFunction = Callable[..., Any]


@dataclass
class ActionResult:
    """What became of the subjects of one act."""

    changed: list[Any] = field(default_factory=list)
    already: list[Any] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)  # in words
    along: int = 0  # changed by `AdminAction.along`


class PreloadedChangeList(BoundedChangeList):
    """Its rows carry what the columns show, loaded for a page at a time."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list: Any = cast(ActionModelAdmin, self.model_admin).dressed(request, list(self.result_list))


class ActionModelAdmin(BaseModelAdmin):
    acts: ClassVar[Sequence[AdminAction]] = ()
    list_title = ""

    class Media:
        css: ClassVar[dict[str, Any]] = {"all": ["accounts/moderation.css"]}

    # --- For subclasses ------------------------------------------------------------------------------

    def subjects(self, request: HttpRequest, rows: Sequence[Any]) -> Mapping[int, Any]:
        """What acts are done to, by row."""
        return {row.pk: row for row in rows}

    def target(self, subject: Any) -> tuple[str, int]:
        """The type and id by which the audit log knows it."""
        raise NotImplementedError

    def concerned(self, subject: Any) -> int:
        """The id of the user whom an act on it concerns."""
        raise NotImplementedError

    def dressed(self, request: HttpRequest, rows: list[Any]) -> list[Any]:
        """The rows of a page of the list, with what its columns need; a fixed number of queries."""
        return rows

    # --- The list ------------------------------------------------------------------------------------

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return PreloadedChangeList

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return super().changelist_view(request, {"title": self.list_title} | (extra_context or {}))

    def get_actions(self, request: HttpRequest) -> dict[str, tuple[ActionFunction, str, str] | None]:
        if IS_POPUP_VAR in request.GET:
            return {}
        return {
            act.name: (_make_bulk_action(act), act.name, act.label) for act in self._permitted(request) if act.in_bulk
        }

    # --- Acts ----------------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.act_view)
        return [path("act/<slug:name>/", view, name=self._act_route()), *super().get_urls()]

    def offers(self, request: HttpRequest, row: Any, subject: Any) -> list[BoundAction]:
        """What the moderator may do to it now."""
        acts = (act for act in self._permitted(request) if act.applies(subject))
        return [BoundAction.make(act, {row.pk: subject}) for act in acts]

    def act_view(self, request: HttpRequest, name: str) -> HttpResponse:
        """Do an act, or ask for what it needs."""
        act = next((act for act in self.acts if act.name == name), None)
        if act is None:
            raise Http404
        if request.method != "POST":  # after signing in again, say
            return HttpResponseRedirect(changelist_url(self.model))
        if not (request.user.has_perm(act.permission) and self.has_view_permission(request)):
            raise PermissionDenied
        subjects = self._chosen(request, request.POST.getlist("pk"))
        if not subjects:
            self.message_user(request, "That is gone by now.", messages.WARNING)
            return HttpResponseRedirect(changelist_url(self.model))
        offer = BoundAction.make(act, subjects, request.POST)
        if not offer.form.is_valid():
            return self.confirmation(request, offer, subjects)
        self._do(request, offer, subjects)
        return HttpResponseRedirect(self._way_back(request, list(subjects)))

    def confirmation(self, request: HttpRequest, offer: BoundAction, subjects: Mapping[int, Any]) -> HttpResponse:
        """What is about to be done to what, with the form."""
        back = request.POST.get("back") or request.get_full_path()
        context = {
            **self.admin_site.each_context(request),
            "title": f"{offer.act.label}: {len(subjects)} {_verbose_name(self.opts, len(subjects))}",
            "opts": self.opts,
            "media": self.media,
            "offer": offer,
            "rows": [(pk, subject, offer.seen.get(pk, 0)) for pk, subject in subjects.items()],
            "action_url": self._act_url(offer.act),
            "back": back if _is_safe_url(request, back) and "/act/" not in back else changelist_url(self.model),
        }
        return TemplateResponse(request, "accounts/admin/confirmation.html", context)

    def confirm(self, request: HttpRequest, act: AdminAction) -> HttpResponse:
        """The page after a bulk action was chosen in the list, which has looked at the ids."""
        subjects = self._chosen(request, request.POST.getlist(ACTION_CHECKBOX_NAME))
        return self.confirmation(request, BoundAction.make(act, subjects), subjects)

    def _do(self, request: HttpRequest, offer: BoundAction, subjects: Mapping[int, Any]) -> None:
        act, outcome = offer.act, ActionResult()
        try:
            for pk, subject in subjects.items():
                seen = parse_id(request.POST.get(f"seen-{pk}", "")) or 0
                given = {**offer.form.cleaned_data, "seen": seen}
                try:
                    self._do_one(act, cast(User, request.user), subject, given, outcome)
                except ActionRefused as refusal:
                    outcome.refused.append(f"{subject}: {refusal}")
        finally:  # whatever went wrong: what is committed is
            if outcome.changed:
                act.afterwards(outcome.changed)
        self._tell(request, act, len(subjects), outcome)

    def _do_one(self, act: AdminAction, actor: User, subject: Any, given: ActionInput, outcome: ActionResult) -> None:
        """Raises Refused."""
        if act.along and self.concerned(subject) in map(self.concerned, outcome.changed):
            outcome.along += act.along(actor, subject, given)
        elif act.perform(actor, subject, given):
            outcome.changed.append(subject)
        else:
            outcome.already.append(subject)

    def _tell(self, request: HttpRequest, act: AdminAction, total: int, outcome: ActionResult) -> None:
        changed, already, refused = outcome.changed, outcome.already, outcome.refused
        if changed:
            self.message_user(request, f"{act.done if total == 1 else f'{len(changed)} {act.done}'}.")
        if outcome.along:
            self.message_user(request, f"{outcome.along} more of the same accounts closed.")
        if already:
            what = "That was" if total == 1 else f"{len(already)} were"
            by = self._by_whom(act, already[0]) if total == 1 else ""
            self.message_user(request, f"{what} done already{by}: nothing changed.", messages.WARNING)
        for refusal in refused[:MAX_REFUSAL_MESSAGES]:
            self.message_user(request, refusal, messages.ERROR)
        if len(refused) > MAX_REFUSAL_MESSAGES:
            self.message_user(request, f"And {len(refused) - MAX_REFUSAL_MESSAGES} more were refused.", messages.ERROR)

    def _by_whom(self, act: AdminAction, subject: Any) -> str:
        """Nobody, if it came about without this act."""
        kind, pk = ("user", self.concerned(subject)) if act.on_account else self.target(subject)
        entries = AuditEntry.objects.using(DEFAULT_DB_ALIAS).filter(target_type=kind, target_id=pk)
        done = entries.filter(action=act.entry or act.name).order_by("-pk").first()
        return f" by {done.actor_name} at {done.created_at:%Y-%m-%d %H:%M} UTC" if done else ""

    def _permitted(self, request: HttpRequest) -> list[AdminAction]:
        return [act for act in self.acts if request.user.has_perm(act.permission)]

    def _chosen(self, request: HttpRequest, raw_ids: Sequence[str]) -> Mapping[int, Any]:
        """The subjects of these rows, in their order; no more than a page holds."""
        ids = [parse_id(raw) for raw in raw_ids]
        if not ids or None in ids or len(ids) > PAGE_SIZE:
            raise BadRequest("no rows, or too many")
        found = self.get_queryset(request).in_bulk(cast(list[int], ids))
        return self.subjects(request, [found[pk] for pk in dict.fromkeys(ids) if pk in found])

    # --- URLs ----------------------------------------------------------------------------------------

    def _act_route(self) -> str:
        return url_name(self.model, "act")

    def _act_url(self, act: AdminAction) -> str:
        return reverse(f"admin:{self._act_route()}", args=[act.name])

    def _way_back(self, request: HttpRequest, ids: Sequence[int]) -> str:
        """To where the act was chosen: the list as it was, or the row's page if there still is one."""
        back = request.POST.get("back", "")
        if back:
            return back if _is_safe_url(request, back) else changelist_url(self.model)
        there = self.get_queryset(request).filter(pk__in=ids).exists()
        return change_url(self.model, ids[0]) if there and len(ids) == 1 else changelist_url(self.model)


def _make_bulk_action(act: AdminAction) -> ActionFunction:
    def choose(model_admin: ActionModelAdmin, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse:
        return model_admin.confirm(request, act)

    return choose


def _is_safe_url(request: HttpRequest, url: str) -> bool:
    return url_has_allowed_host_and_scheme(url, {request.get_host()}, require_https=request.is_secure())


def _verbose_name(opts: Any, count: int) -> str:
    return str(opts.verbose_name if count == 1 else opts.verbose_name_plural)
