"""The demo's accounts as rows for COPY: the demo user, up to a million others, and the staff.

`SIGN_IN_ACCOUNTS` accounts share the demo password: the demo user and the first ones that they follow, celebrities
included. So a client can view the feed as different users. The password is hashed once. All other accounts have no
usable password, as a million hashes would take days.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group

from accounts.models import CelebrityState, User
from instafeed.demo.network import DEMO_PERSON, Network, Recipe
from instafeed.demo.profiles import Profile, generate_profiles
from instafeed.devstack.demo_credentials import ADMIN_PASSWORD, DEMO_PASSWORD, DEMO_USERNAME, STAFF

SIGN_IN_ACCOUNTS = 20
_ORDINARY, _CELEBRITY = int(CelebrityState.ORDINARY), int(CelebrityState.CELEBRITY)
Row = dict[str, object]  # column -> value


def missing_staff() -> list[str]:
    """Return the names of the demo's staff that no account has. An account that has one is kept as it is."""
    existing = set(User.objects.filter(username__in=STAFF).values_list("username", flat=True))
    return [name for name in STAFF if name not in existing]


def is_demo_name(username: str, recipe: Recipe) -> bool:
    """Return whether the demo user or one of the demo's people has this name."""
    people = generate_profiles(recipe.people, recipe.seed)
    return username == DEMO_USERNAME or ("." in username and any(person.username == username for person in people))


def sign_in_names(staff: Iterable[str]) -> list[str]:
    """Return the names of the accounts with an email address."""
    return [DEMO_USERNAME, *staff]


def email_of(username: str) -> str:
    return f"{username}@example.com"


def account_rows(
    network: Network, first_id: int, today: date, avatars: Mapping[int, str], staff: Iterable[str]
) -> Iterator[Row]:
    """Yield the rows of all accounts, those of `staff` last. A person's id is `first_id` plus their number.

    `avatars` maps people to paths. The network's follows and posts must be generated before, as the rows have their
    counts.
    """
    can_sign_in = {DEMO_PERSON, *network.demo_followees[: SIGN_IN_ACCOUNTS - 1]}
    password = make_password(DEMO_PASSWORD)
    for person, profile in enumerate(generate_profiles(network.recipe.people, network.recipe.seed)):
        if person == DEMO_PERSON:
            profile = Profile(DEMO_USERNAME, "Demo", "Have a look around.", False, profile.joined_days_ago)
        is_celebrity = network.is_celebrity(person)
        yield _account_row(profile, today) | {
            "id": first_id + person,
            "password": password if person in can_sign_in else f"!{secrets.token_hex(20)}",
            "email": email_of(DEMO_USERNAME) if person == DEMO_PERSON else "",
            "email_verified": person == DEMO_PERSON,
            "avatar_path": avatars.get(person, ""),
            "is_private": profile.is_private and not is_celebrity,
            "celebrity_state": _CELEBRITY if is_celebrity else _ORDINARY,
            "celebrity_pin": True if person in network.pinned else None,
            "post_count": network.posts_by[person],
            "follower_count": network.followers[person],
            "following_count": network.following[person],
        }
    password = make_password(ADMIN_PASSWORD)
    for number, username in enumerate(staff):
        yield _account_row(Profile(username, username.title(), "", False, 900), today) | {
            "id": first_id + network.recipe.people + number,
            "password": password,
            "email": email_of(username),
            "email_verified": True,
            "is_staff": True,
            "is_superuser": STAFF[username] is None,
        }


def add_staff_to_groups(staff: Iterable[str]) -> None:
    """Add the staff to the groups that the migrations created. The accounts must exist."""
    for username in staff:
        if group := STAFF[username]:
            User.objects.get(username=username).groups.add(Group.objects.get(name=group))


def _account_row(profile: Profile, today: date) -> Row:
    return {
        "username": profile.username,
        "display_name": profile.display_name,
        "bio": profile.bio,
        "avatar_path": "",
        "is_private": profile.is_private,
        "is_staff": False,
        "is_superuser": False,
        "created_at": today - timedelta(days=profile.joined_days_ago),
        "celebrity_state": _ORDINARY,
        "celebrity_pin": None,
        "post_count": 0,
        "follower_count": 0,
        "following_count": 0,
    }
