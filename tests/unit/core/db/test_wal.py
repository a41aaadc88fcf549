"""WAL positions over timelines, and what keeps a server from being a replica of this primary."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from instafeed.core.db.replicas.wal import Fault, ReplicaStatus, WalSample, encode_position, find_fault, has_passed

PRIMARY = WalSample(encode_position(2, 1_000), datetime(2026, 1, 1, tzinfo=UTC), taken_at=0.0, system_identifier=7)
REPLICA = ReplicaStatus(lsn=900, system_identifier=7, receiver_status="streaming", timeline=2, has_receiver=True)


def test_position_keeps_timeline_and_lsn() -> None:
    assert (PRIMARY.timeline, PRIMARY.lsn) == (2, 1_000)


def test_position_on_a_later_timeline_is_greater() -> None:
    """After a promotion or a restore to an earlier point, LSNs begin again below those of the old timeline."""
    assert encode_position(2, 5) > encode_position(1, 2**63)


@pytest.mark.parametrize(
    ("replayed", "position", "passed"),
    [
        ((2, 10), (2, 10), True),
        ((2, 9), (2, 10), False),
        ((2, 10), (1, 10), True),
        ((1, 10), (2, 5), False),
        ((2, 9), (1, 10), False),  # it receives the new timeline and still replays the old one
    ],
)
def test_replica_has_passed_a_position(replayed: tuple[int, int], position: tuple[int, int], passed: bool) -> None:
    assert has_passed(encode_position(*replayed), encode_position(*position)) == passed


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({}, None),
        ({"lsn": 2_000}, None),
        ({"lsn": None}, Fault.NOT_A_REPLICA),
        ({"system_identifier": 8}, Fault.OTHER_CLUSTER),
        ({"timeline": 1}, Fault.OTHER_TIMELINE),
        ({"timeline": 3}, Fault.OTHER_TIMELINE),
        ({"receiver_status": "waiting"}, Fault.NOT_STREAMING),
        ({"receiver_status": None, "timeline": None, "has_receiver": False}, Fault.NOT_STREAMING),
        ({"receiver_status": None, "timeline": None}, Fault.HIDDEN),
    ],
)
def test_faults(changes: dict[str, Any], fault: Fault | None) -> None:
    assert find_fault(replace(REPLICA, **changes), PRIMARY) == fault
