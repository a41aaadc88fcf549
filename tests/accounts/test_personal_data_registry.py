"""That nothing which holds a user's id is forgotten by those who export and erase."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.apps import apps
from django.contrib.postgres.fields import ArrayField
from django.db import models

from accounts import personal_data_registry
from accounts.models import User
from instafeed.core.cache import keys
from tests.accounts.populated_account import declared_columns

PROJECT_APPS = {
    "core",
    "backoffice",
    "accounts",
    "social",
    "media",
    "posts",
    "feeds",
    "admin",
    "auth",
    "otp_totp",
    "otp_static",
}
# Numbers that are no user's id.
COLUMNS_WITHOUT_USER_IDS = {
    "feeds.FanOut.last_follower_id",  # a place among ids, where the next batch starts: it tells of nobody
    # The audit log outlives those whom it tells of; their ids are bare numbers then.
    "accounts.AuditEntry.actor_id",
    "accounts.AuditEntry.target_id",
    "accounts.AuditEntry.user_id",
    "accounts.AuditEntry.before",
    "accounts.AuditEntry.after",
    "backoffice.Sample.metrics",
    "posts.Case.reasons",
    "posts.Case.closed_by_id",  # a moderator's
    "core.Invalidation.keys",  # gone within seconds
    "media.Media.variants",
    "media.FileDeletion.paths",
    "otp_totp.TOTPDevice.t0",  # times
    "otp_totp.TOTPDevice.last_t",
    "posts.Counter.subject_id",
    "posts.ExploreRanking.post_ids",
    "social.Notification.post_id",
    "social.Notification.comment_id",
    "social.Notification.position",
    "social.NotificationActor.position",
    "social.Warning.post_id",
    "social.Warning.comment_id",
    "social.NotificationEvent.post_id",
    "social.NotificationEvent.comment_id",
    "social.NotificationState.read_up_to",
}
FIELD_TYPES_WITHOUT_FOREIGN_KEY = (models.BigIntegerField, models.JSONField, ArrayField)


def test_all_columns_with_user_ids_are_registered() -> None:
    assert set(columns_that_may_hold_user_ids()) - declared_columns() - COLUMNS_WITHOUT_USER_IDS == set(), (
        "declare these in a Holding, or here as no user's"
    )
    assert declared_columns() | COLUMNS_WITHOUT_USER_IDS <= set(columns_that_may_hold_user_ids()), (
        "there is no such column"
    )


def columns_that_may_hold_user_ids() -> Iterator[str]:
    """Foreign keys to users, and whatever else could hold an id: what is neither made here nor another foreign key."""
    yield "accounts.User.id"
    for model in apps.get_models(include_auto_created=True):
        if model._meta.app_label not in PROJECT_APPS:
            continue
        for field in model._meta.concrete_fields:
            loose = isinstance(field, FIELD_TYPES_WITHOUT_FOREIGN_KEY) and not field.is_relation
            made_here = isinstance(field, models.BigAutoField) or (field.primary_key and field.has_db_default())
            if field.related_model is User or (loose and not made_here):
                yield f"{model._meta.label}.{field.name}"


def test_all_categories_can_be_erased() -> None:
    assert [holding.name for holding in personal_data_registry.get_categories() if holding.erase is None] == []


@pytest.mark.django_db
def test_all_redis_keys_with_user_ids_are_registered() -> None:
    of_users = {
        name: function(4711)
        for name, function in vars(keys).items()
        if callable(function) and "user_id" in getattr(function, "__annotations__", {})
    }
    assert {"home_timeline", "user_card", "auth_state"} <= of_users.keys()
    assert set(of_users.values()) <= set(personal_data_registry.get_redis_keys(4711))
