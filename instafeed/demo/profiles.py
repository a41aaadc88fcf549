"""Names, biographies and join dates of the demo's people."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from random import Random

from instafeed.demo.locales import Locale, locale_of

PRIVATE_SHARE = 0.04  # of all accounts
_MIN_JOINED_DAYS, _JOINED_DAYS_SPAN = 40, 860  # days; all joined before the first post


@dataclass(slots=True)
class Profile:
    username: str
    display_name: str
    bio: str
    is_private: bool
    joined_days_ago: int


def generate_profiles(count: int, seed: int) -> Iterator[Profile]:
    """Yield the profiles of person 0, 1, … Usernames are unique, and contain a dot unlike those of demo and staff."""
    rng = Random(f"{seed}/people")
    for person in range(count):
        locale, number = locale_of(person)
        username, display_name = _name(locale, number)
        chance = rng.random()
        yield Profile(
            username=username,
            display_name=display_name,
            bio=locale.bios[int(chance * 1000) % len(locale.bios)] if chance < 0.7 else "",
            is_private=rng.random() < PRIVATE_SHARE,
            joined_days_ago=_MIN_JOINED_DAYS + int(rng.random() * _JOINED_DAYS_SPAN),
        )


def _name(locale: Locale, number: int) -> tuple[str, str]:
    """Return the number-th username and display name of a locale. A username gets a number once all names are used."""
    names = _names(locale)
    round_, index = divmod(number, len(names))
    username, display_name = names[index]
    return (f"{username}{round_ + 1}" if round_ else username), display_name


@cache
def _names(locale: Locale) -> tuple[tuple[str, str], ...]:
    pairs = [
        (f"{given}.{family}", f"{shown_given} {shown_family}")
        for given, shown_given in locale.given
        for family, shown_family in locale.family
    ]
    Random(0).shuffle(pairs)
    return tuple(pairs)
