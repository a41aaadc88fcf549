"""Buckets: how the keys of a Redis Cluster are spread over its servers.

A script runs on one server and its keys must share a hash slot, so everything that a page begins with lies in the
viewer's bucket: the home timeline, the visible authors, the account, and a copy of the celebrities and of their author
timelines. Other keys lie in the bucket of their own id. A bucket is a hash slot, which the tag in a key's braces names.

A cluster gives each server a contiguous range of slots of about the same size, so buckets have slots at equal
distances, and every server gets the same number of buckets, or one more. Source of the hash: the Redis Cluster
specification, section "Key distribution model".
"""

from __future__ import annotations

import binascii
import itertools
from collections.abc import Iterator

SLOTS = 16_384
_ALPHABET = "abcdefghijklmnopqrstuvwxyz"


def hash_slot(tag: str) -> int:
    """Return the slot of a key that is, or whose tag is, this text."""
    return binascii.crc_hqx(tag.encode(), 0) % SLOTS


def hash_tags(count: int) -> list[str]:
    """Return what the keys of each of `count` buckets contain after the prefix: `{tag}:`. One bucket needs none."""
    if count == 1:
        return [""]
    slots = [(bucket * SLOTS + SLOTS // 2) // count for bucket in range(count)]
    tags, missing = {}, set(slots)
    for tag in _words():
        slot = hash_slot(tag)
        if slot in missing:
            missing.remove(slot)
            tags[slot] = tag
            if not missing:
                break
    return [f"{{{tags[slot]}}}:" for slot in slots]


def _words() -> Iterator[str]:
    for length in itertools.count(1):
        yield from map("".join, itertools.product(_ALPHABET, repeat=length))
