"""The actions on a user's page that send messages or leave notes: `accounts` is below the apps that do so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from accounts import moderation as account_moderation
from accounts.admin.actions import with_inputs
from accounts.admin.users import revoke_public_files
from accounts.models import User
from posts import moderation
from posts.admin import actions
from posts.admin.actions import SUSPEND_INPUTS, WARN_INPUTS
from posts.models import TargetType
from posts.moderation.history import ModerationHistory
from posts.services import Target


def _target(user: User) -> Target:
    return Target(TargetType.USER, user.pk, user.pk)


def _count_warnings(users: Mapping[int, User]) -> dict[int, int]:
    targets = {pk: _target(user) for pk, user in users.items()}
    history = ModerationHistory(targets.values())
    return {pk: history.count_warnings(target) for pk, target in targets.items()}


def _is_kept(user: User) -> bool:
    return user.deleted_at is None


SUSPEND = replace(
    actions.SUSPEND,
    label="Suspend",
    perform=with_inputs(moderation.suspend_author, _target, *SUSPEND_INPUTS),
    applies_to=_is_kept,
    get_reasons=lambda users: (),
    get_versions=lambda users: account_moderation.count_suspensions(list(users)),
    after_commit=revoke_public_files,
    perform_for_same_account=None,
    on_account=False,
)
WARN = replace(
    actions.WARN,
    label="Warn",
    help="Send a notification.",
    perform=with_inputs(moderation.warn, _target, *WARN_INPUTS),
    applies_to=_is_kept,
    get_reasons=lambda users: (),
    get_versions=_count_warnings,
)
NOTE = replace(
    actions.NOTE,
    perform=lambda actor, user, given: moderation.add_note(actor, _target(user), given["reason"]),
    applies_to=lambda user: True,
)
