"""Cards of a user's page: moderators' notes, the user's reports, and the cases about them and their content."""

from __future__ import annotations

from django.db.models import OuterRef, Subquery
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from accounts.audit_targets import with_target_names
from accounts.models import User
from posts.admin.actions import NOTE
from posts.models import Case, CaseState, Note, Report
from posts.moderation.targets import describe_reasons

MAX_SHOWN = 10  # of each kind, the newest


def render_notes_card(request: HttpRequest, user: User) -> SafeString | str:
    """Return the card, or "" if there is no note, or for staff who do not moderate."""
    if not request.user.has_perm(NOTE.permission):
        return ""
    notes = list(Note.objects.filter(user_id=user.pk).order_by("-pk")[:MAX_SHOWN])
    return SafeString(render_to_string("posts/admin/user_notes.html", {"notes": notes})) if notes else ""


def render_reports_card(request: HttpRequest, user: User) -> SafeString | str:
    """Return the card, or "" for staff who may not see reports."""
    if not (request.user.has_perm("posts.view_report") and request.user.has_perm("posts.view_case")):
        return ""
    context = {"made": _load_made(user), "got": _load_got(user)}
    return SafeString(render_to_string("posts/admin/user_reports.html", context))


def _load_made(user: User) -> list[tuple[Report, str]]:
    """Return the newest reports by the user with `case_id`, and the states of their cases."""
    cases = Case.objects.filter(target_type=OuterRef("target_type"), target_id=OuterRef("target_id"))
    reports = with_target_names(Report.objects.filter(reporter=user)).annotate(
        case_id=Subquery(cases.values("pk")), case_state=Subquery(cases.values("state"))
    )
    return [(report, _label(report.case_state)) for report in reports.order_by("-pk")[:MAX_SHOWN]]


def _load_got(user: User) -> list[tuple[Case, str]]:
    """Return the newest cases about the user and their content, with the reasons."""
    cases = with_target_names(Case.objects.filter(user_id=user.pk)).order_by("-pk")[:MAX_SHOWN]
    return [(case, describe_reasons(case)) for case in cases]


def _label(state: int | None) -> str:
    return "" if state is None else str(CaseState(state).label)
