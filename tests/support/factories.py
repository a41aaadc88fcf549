"""Factories of rows for tests. Rows that a factory does not set have the model's default."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import factory
from django.db.models import F, Model
from factory.django import DjangoModelFactory

from accounts.models import User
from social.models import Block, Follow, FollowRequest, Mute

Row = TypeVar("Row", bound=Model, covariant=True)


class RowFactory(Generic[Row]):
    """The calls of a factory, with their types: factory_boy does not declare what `UserFactory()` returns."""

    def __init__(self, rows: type[DjangoModelFactory[Row]]) -> None:
        self._create = rows.create
        self.build = rows.build
        self.create_batch = rows.create_batch

    def __call__(self, **fields: Any) -> Row:
        return self._create(**fields)


class UserRows(DjangoModelFactory[User]):
    username = factory.Sequence(lambda number: f"user{number}")

    class Meta:
        model = User
        skip_postgeneration_save = True

    @classmethod
    def _create(cls, model_class: type[User], *args: Any, **kwargs: Any) -> User:
        return model_class.objects.create_user(*args, **kwargs)


class FollowRows(DjangoModelFactory[Follow]):
    follower = factory.SubFactory(UserRows)
    followee = factory.SubFactory(UserRows)

    class Meta:
        model = Follow

    @classmethod
    def _create(cls, model_class: type[Follow], *args: Any, **kwargs: Any) -> Follow:
        follow = super()._create(model_class, *args, **kwargs)
        User.objects.filter(pk=follow.followee_id).update(follower_count=F("follower_count") + 1)
        User.objects.filter(pk=follow.follower_id).update(following_count=F("following_count") + 1)
        return follow


class FollowRequestRows(DjangoModelFactory[FollowRequest]):
    follower = factory.SubFactory(UserRows)
    followee = factory.SubFactory(UserRows, is_private=True)

    class Meta:
        model = FollowRequest


class BlockRows(DjangoModelFactory[Block]):
    blocker = factory.SubFactory(UserRows)
    blocked = factory.SubFactory(UserRows)

    class Meta:
        model = Block


class MuteRows(DjangoModelFactory[Mute]):
    muter = factory.SubFactory(UserRows)
    muted = factory.SubFactory(UserRows)

    class Meta:
        model = Mute


UserFactory = RowFactory(UserRows)
"""An active, public user. Pass `password` for a user that can sign in."""

FollowFactory = RowFactory(FollowRows)
"""A follow with its counts, created without signals and notifications."""

FollowRequestFactory = RowFactory(FollowRequestRows)
BlockFactory = RowFactory(BlockRows)
MuteFactory = RowFactory(MuteRows)
