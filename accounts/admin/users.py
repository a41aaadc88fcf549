"""Users in the admin: moderators suspend them, operators pin their delivery, superusers edit them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, cast

from django.apps import apps
from django.contrib import admin
from django.db import models
from django.db.models import Model, Q, QuerySet
from django.db.models.functions import Lower
from django.forms import CheckboxSelectMultiple, ModelForm
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from accounts import audit, avatar_storage, moderation, services, sessions
from accounts.admin.action_model_admin import ActionModelAdmin
from accounts.admin.actions import AdminAction, OptionalReasonForm, PolicyForm, with_inputs, with_reason
from accounts.audit_targets import TARGET_MODELS, TARGET_NAMES, with_target_names
from accounts.follower_counts import get_exact_counts
from accounts.models import AuditEntry, CelebrityState, User
from accounts.moderation import ProfilePart
from accounts.signals import public_files_revoked
from instafeed.core.admin.display import state_badge
from instafeed.core.admin.filters import FlagFilter
from instafeed.core.admin.urls import changelist_url

# Maintained by code and never edited by hand.
MANAGED_FIELDS = (
    *("is_active", "suspended_at", "suspended_until", "deleted_at", "celebrity_state", "celebrity_pin"),
    *("post_count", "follower_count", "following_count", "created_at", "last_login"),
)
EDITABLE_FIELDS = (
    *("username", "email", "email_verified", "display_name", "bio", "website"),
    *("is_private", "is_staff", "is_superuser"),
)
MODERATOR_FIELDS = (
    *("email", "email_verified", "is_private", "is_active", "suspended_at", "suspended_until", "celebrity_state"),
    "last_login",
)
PERMISSION_FIELDS = ("is_staff", "is_superuser", "groups")
MAX_AUDIT_ENTRIES = 20  # on a user's page


def revoke_public_files(users: Sequence[User]) -> None:
    public_files_revoked.send(User, user_ids=[user.pk for user in users])


def _remove_action(
    part: ProfilePart, label: str, after_commit: Callable[[Sequence[User]], None] = lambda users: None
) -> AdminAction:
    def has_part(user: User) -> bool:
        return bool(user.avatar_path if part is ProfilePart.AVATAR else getattr(user, part))

    return AdminAction(
        *(f"remove_{part}", label, "changed", "The user may set it again.", "accounts.suspend_user"),
        perform=lambda actor, user, data: moderation.remove_profile_part(
            actor, user.pk, part, data["reason"], policy=data["policy"]
        ),
        form=PolicyForm,
        is_destructive=True,
        applies_to=has_part,
        after_commit=after_commit,
    )


def _pin_action(name: str, label: str, done_label: str, help_: str, is_celebrity: bool | None) -> AdminAction:
    return AdminAction(
        *(name, label, done_label, help_, "accounts.pin_celebrity"),
        perform=lambda actor, user, data: moderation.pin(actor, user.pk, is_celebrity, data["reason"]),
        audit_action="unpin" if is_celebrity is None else "pin",
        form=OptionalReasonForm,
        in_bulk=False,
        applies_to=lambda user: user.celebrity_pin is not is_celebrity,
    )


# The app above, which can send messages, adds those that warn and suspend.
ACTIONS = [
    AdminAction(
        *("lift", "Lift the suspension", "reinstated", "Restores the account and its content at once."),
        "accounts.suspend_user",
        perform=with_reason(moderation.lift_suspension, "pk"),
        form=OptionalReasonForm,
        applies_to=lambda user: user.suspended_at is not None,
    ),
    AdminAction(
        *("end_sessions", "End all sessions", "signed out", "Signs the user out of every app. They may sign in again."),
        "accounts.suspend_user",
        perform=with_inputs(moderation.end_sessions, attrgetter("pk"), "reason", "policy"),
        form=PolicyForm,
        is_destructive=True,
    ),
    _remove_action(ProfilePart.AVATAR, "Remove the avatar", after_commit=revoke_public_files),
    _remove_action(ProfilePart.DISPLAY_NAME, "Remove the display name"),
    _remove_action(ProfilePart.BIO, "Remove the bio"),
    _remove_action(ProfilePart.WEBSITE, "Remove the website"),
    _pin_action("pull", "Pin as celebrity", "pinned", "Followers pull new posts, for any follower count.", True),
    _pin_action("push", "Pin as ordinary", "pinned", "New posts are pushed, for any follower count.", False),
    _pin_action("unpin", "Remove the pin", "unpinned", "The follower count decides again.", None),
]


@dataclass(frozen=True)
class RelatedLink:
    """A link from a user's page to a list of related rows. The apps above add theirs to `RELATED_LINKS`."""

    text: str
    model: type[Model]
    field: str  # of the list, one of its `linked_by`

    def url(self, user_id: int) -> str:
        return f"{changelist_url(self.model)}?{self.field}={user_id}"


RELATED_LINKS = [
    RelatedLink("audit entries about this user", AuditEntry, "user_id"),
    RelatedLink("actions by this user", AuditEntry, "actor_id"),
]


# Further cards of a user's page, rendered for the member of staff who asks. The apps above add theirs.
USER_CARDS: list[Callable[[HttpRequest, User], SafeString | str]] = []


class StaffFilter(FlagFilter):
    title = parameter_name = "staff"
    choice, condition = "staff", Q(is_staff=True)


class SuspendedFilter(FlagFilter):
    title = parameter_name = "suspended"
    choice, condition = "suspended", Q(suspended_at__isnull=False)


class CelebrityFilter(FlagFilter):
    title = parameter_name = "celebrity"
    choice, condition = "celebrities", ~Q(celebrity_state=CelebrityState.ORDINARY)


class PinnedFilter(FlagFilter):
    title = parameter_name = "pinned"
    choice, condition = "pinned", Q(celebrity_pin__isnull=False)


def get_state_badges(user: User) -> Iterable[tuple[str, str]]:
    """Yield the text and the kind of each badge that describes the account's state."""
    if user.deleted_at is not None:
        yield "being erased", "bad"
    if user.suspended_at is not None:
        until = user.suspended_until
        yield f"suspended until {until:%Y-%m-%d %H:%M}" if until else "suspended for good", "bad"
    if user.pending_since is not None:
        yield "awaits approval", "busy"
    if user.is_superuser or user.is_staff:
        yield "superuser" if user.is_superuser else "staff", "busy"
    if user.is_private:
        yield "private", "good"
    if user.celebrity_state != CelebrityState.ORDINARY:
        yield user.get_celebrity_state_display(), "good"
    if user.celebrity_pin is not None:
        yield "pinned as celebrity" if user.celebrity_pin else "pinned as ordinary", "busy"


def render_state_badges(user: User) -> SafeString:
    return format_html_join(" ", "{}", ((state_badge(text, kind),) for text, kind in get_state_badges(user)))


@admin.register(User)
class UserAdmin(ActionModelAdmin):
    admin_actions = ACTIONS
    list_title = "Users"
    list_display = ("username", "display_name", "states", "posts", "followers", "joined")
    linked_by = ("invite",)
    list_filter = (SuspendedFilter, StaffFilter, CelebrityFilter, PinnedFilter)
    search_fields = ("username", "email")
    search_help_text = "The beginning of a username, or a full email address."
    formfield_overrides = {
        models.URLField: {"assume_scheme": "https"},
        models.ManyToManyField: {"widget": CheckboxSelectMultiple},  # Django's pair of lists is not accessible
    }
    readonly_fields = MANAGED_FIELDS
    change_form_template = "accounts/admin/user.html"

    @admin.display(description="state")
    def states(self, user: User) -> SafeString:
        return render_state_badges(user)

    @admin.display
    def posts(self, user: User) -> int:
        return user.post_count

    @admin.display
    def followers(self, user: User) -> int:
        """Up to a second old. The user's page shows the exact count."""
        return user.follower_count

    @admin.display
    def joined(self, user: User) -> str:
        return f"{user.created_at:%Y-%m-%d}"

    def get_unfit_bulk_actions(self, request: HttpRequest) -> tuple[str, ...]:
        return ("suspend",) if request.GET.get(SuspendedFilter.parameter_name) == "1" else ("lift",)

    def get_target(self, subject: Any) -> tuple[str, int]:
        return "user", cast(User, subject).pk

    def get_affected_user_id(self, subject: Any) -> int:
        return cast(User, subject).pk

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Return all fields for superusers. Others see the rest above the form."""
        is_superuser = cast(User, request.user).is_superuser
        return (*EDITABLE_FIELDS, "groups", *MANAGED_FIELDS) if is_superuser else MODERATOR_FIELDS

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return cast(User, request.user).is_superuser

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[User], search_term: str
    ) -> tuple[QuerySet[User], bool]:
        """Search only by indexed columns: Django's own search would scan the whole table."""
        term = search_term.strip().lower()
        if not term:
            return queryset, False
        by_email = Q(lower_email=term) & ~Q(email="")
        found = queryset.alias(lower_email=Lower("email")).filter(Q(username__startswith=term) | by_email)
        return found, False

    def save_model(self, request: HttpRequest, obj: User, form: ModelForm[User], change: bool) -> None:
        """Save through the service, which invalidates caches and sends signals. Runs inside a transaction."""
        changes = {name: getattr(obj, name) for name in form.changed_data if name in EDITABLE_FIELDS}
        services.update_profile(obj.pk, changes)
        if form.changed_data:
            _record_edit(cast(User, request.user), obj, form)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        user = cast(User, context["original"])
        context |= {
            "account": user,
            "badges": render_state_badges(user),
            "avatar": avatar_storage.staff_url(user.avatar_path),
            "counts": get_exact_counts(user),
            "live_sessions": sessions.get_live(user.pk).count(),
            "bound_actions": self.get_bound_actions(request, user, user),
            "links": [(link.text, link.url(user.pk)) for link in RELATED_LINKS if _may_view(request, link.model)],
            "cards": [render(request, user) for render in USER_CARDS],
            "entries": _recent_audit_entries(request, user) if _may_view(request, AuditEntry) else [],
        }
        return super().render_change_form(request, context, *args, **kwargs)


def _record_edit(editor: User, user: User, form: ModelForm[User]) -> None:
    """Audit the names of the changed fields, and values of permissions only: users' texts must stay erasable."""
    fields = [name for name in PERMISSION_FIELDS if name in form.changed_data]
    before = {name: _serialize_permission(form.initial[name]) for name in fields}
    after = {name: _serialize_permission(form.cleaned_data[name]) for name in fields}
    after["fields"] = ", ".join(form.changed_data)
    audit.record(editor, "edit_user", "user", user.pk, user_id=user.pk, before=before, after=after)


def _serialize_permission(value: Any) -> Any:
    return value if isinstance(value, bool) else ", ".join(sorted(str(group) for group in value))


def _may_view(request: HttpRequest, model: type[Model]) -> bool:
    meta = model._meta
    return request.user.has_perm(f"{meta.app_label}.view_{meta.model_name}")


def _recent_audit_entries(request: HttpRequest, user: User) -> list[AuditEntry]:
    """Return the newest entries. A name quotes a post or comment, perhaps a hidden one, so not all staff see it."""
    secret = [kind for kind in TARGET_NAMES if not _may_view(request, apps.get_model(TARGET_MODELS[kind]))]
    entries = with_target_names(AuditEntry.objects.filter(user_id=user.pk), without=secret)
    return list(entries.order_by("-pk")[:MAX_AUDIT_ENTRIES])
