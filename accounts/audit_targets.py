"""What audit entries, reports, cases and notes are about: names, read in the query of these rows, and links."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

from django.apps import apps
from django.contrib.auth.models import Group
from django.db.models import Case, CharField, OuterRef, QuerySet, Subquery, Value, When
from django.db.models.functions import Concat
from django.utils.safestring import SafeString

from accounts.models import AuditEntry, User
from instafeed.core.admin.display import object_link

_Rows = TypeVar("_Rows", bound=QuerySet[Any])

MAX_NAME_LENGTH = 40  # characters
# The models of target types, by name: most belong to apps above this one.
TARGET_MODELS = {
    "user": "accounts.User",
    "post": "posts.Post",
    "comment": "posts.Comment",
    "media": "media.Media",
    "fan_out": "feeds.FanOut",
    "group": "auth.Group",
    "policy": "accounts.Policy",
    "operator_job": "backoffice.OperatorJob",
    "invite": "accounts.Invite",
    "email_domain": "accounts.BlockedEmailDomain",
    "network": "accounts.BlockedNetwork",
}
# The states of an audit entry that name its target.
_NAMING_STATES = {"email_domain": "domain", "network": "network", "operator_job": "kind"}
_OWNED_TYPES = ("post", "comment", "media")


def _query_username(id_field: str, prefix: str = "@") -> Subquery:
    return Subquery(User.objects.filter(pk=OuterRef(id_field)).values(name=Concat(Value(prefix), "username")))


# By target type. The apps above add theirs: an expression for the name of the target whose id is `target_id`.
TARGET_NAMES: dict[str, Callable[[], Subquery]] = {
    "user": lambda: _query_username("target_id"),
    "group": lambda: Subquery(Group.objects.filter(pk=OuterRef("target_id")).values("name")),
}


def with_target_names(rows: _Rows, *, without: Collection[str] = ()) -> _Rows:
    """Annotate rows that have a `target_type` and a `target_id` with `target_name`.

    It is null if the target is gone, or if its type has no names or is among `without`.
    """
    return _annotate_names(rows, {kind: make() for kind, make in TARGET_NAMES.items() if kind not in without})


def with_user_names(entries: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
    """Annotate entries with `target_name` and with `user_name`, of the affected user.

    Posts and the like are named by their author and not by their text, which not all staff may see.
    """
    names = {kind: make() for kind, make in TARGET_NAMES.items()}
    names |= {kind: _query_username("user_id", "by @") for kind in _OWNED_TYPES}
    return _annotate_names(entries, names).annotate(user_name=_query_username("user_id"))


def _annotate_names(rows: _Rows, names: Mapping[str, Subquery]) -> _Rows:
    whens = [When(target_type=kind, then=name) for kind, name in names.items()]
    return rows.annotate(target_name=Case(*whens, default=Value(None), output_field=CharField()))


def target_link(row: Any) -> SafeString | str:
    """Return the row's target as a link to its admin page, or as text if it has none."""
    label = TARGET_MODELS.get(row.target_type)
    text = _describe_target(row)
    return object_link(apps.get_model(label), row.target_id, text) if label else text


def _describe_target(row: Any) -> str:
    """Return such as "@alice", "post by @alice" or "network 203.0.113.0/24"; with the id if there is no name."""
    name = getattr(row, "target_name", None) or _get_naming_state(row)
    if row.target_type == "user" and name:
        return str(name)
    kind = row.target_type.replace("_", " ")
    return f"{kind} {name or row.target_id}" if name or row.target_id else kind


def _get_naming_state(row: Any) -> str:
    if (state := _NAMING_STATES.get(row.target_type)) is None:
        return ""
    return str(row.after.get(state) or row.before.get(state) or "").replace("_", " ")
