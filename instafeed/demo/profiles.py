"""The demo's accounts: names, profiles, and who can sign in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from random import Random

from instafeed.demo.locales import Locale, locale_of

PRIVATE_SHARE = 0.04  # share of private accounts
_MIN_JOINED_DAYS, _JOINED_DAYS_SPAN = 40, 860  # days ago that people joined; everybody was there before the first post


@dataclass(slots=True)
class Profile:
    username: str
    display_name: str
    bio: str
    is_private: bool
    joined_days_ago: int


def generate_profiles(count: int, seed: int) -> Iterator[Profile]:
    """The accounts of person 0, 1, …; usernames differ, and hold a dot, so that no fixed account has one."""
    rng = Random(f"{seed}/people")
    for person in range(count):
        voice, number = locale_of(person)
        username, shown = _name(voice, number)
        chance = rng.random()
        yield Profile(
            username=username,
            display_name=shown,
            bio=voice.bios[int(chance * 1000) % len(voice.bios)] if chance < 0.7 else "",
            is_private=rng.random() < PRIVATE_SHARE,
            joined_days_ago=_MIN_JOINED_DAYS + int(rng.random() * _JOINED_DAYS_SPAN),
        )


def _name(voice: Locale, number: int) -> tuple[str, str]:
    """Names with a number only where all have been given; different voices share no name."""
    names = _names(voice)
    turn, which = divmod(number, len(names))
    username, shown = names[which]
    return (f"{username}{turn + 1}" if turn else username), shown


@cache
def _names(voice: Locale) -> tuple[tuple[str, str], ...]:
    pairs = [
        (f"{given}.{family}", f"{shown_given} {shown_family}")
        for given, shown_given in voice.given
        for family, shown_family in voice.family
    ]
    Random(0).shuffle(pairs)
    return tuple(pairs)
