"""Factories of rows for tests. Fields that a factory does not set have the model's default."""

from __future__ import annotations

from typing import Any

import factory
from django.db.models import F

from accounts.models import User
from social.models import Block, Follow, FollowRequest, Mute


class UserFactory(factory.django.DjangoModelFactory[User]):
    """An active, public user. Pass `password` for a user that can sign in."""

    username = factory.Sequence(lambda number: f"user{number}")

    class Meta:
        model = User
        skip_postgeneration_save = True

    @classmethod
    def _create(cls, model_class: type[User], *args: Any, **kwargs: Any) -> User:
        return model_class.objects.create_user(*args, **kwargs)


class FollowFactory(factory.django.DjangoModelFactory[Follow]):
    """A follow with its counts, created without signals and notifications."""

    follower = factory.SubFactory(UserFactory)
    followee = factory.SubFactory(UserFactory)

    class Meta:
        model = Follow

    @classmethod
    def _create(cls, model_class: type[Follow], *args: Any, **kwargs: Any) -> Follow:
        follow = super()._create(model_class, *args, **kwargs)
        User.objects.filter(pk=follow.followee_id).update(follower_count=F("follower_count") + 1)
        User.objects.filter(pk=follow.follower_id).update(following_count=F("following_count") + 1)
        return follow


class FollowRequestFactory(factory.django.DjangoModelFactory[FollowRequest]):
    follower = factory.SubFactory(UserFactory)
    followee = factory.SubFactory(UserFactory, is_private=True)

    class Meta:
        model = FollowRequest


class BlockFactory(factory.django.DjangoModelFactory[Block]):
    blocker = factory.SubFactory(UserFactory)
    blocked = factory.SubFactory(UserFactory)

    class Meta:
        model = Block


class MuteFactory(factory.django.DjangoModelFactory[Mute]):
    muter = factory.SubFactory(UserFactory)
    muted = factory.SubFactory(UserFactory)

    class Meta:
        model = Mute
