"""The bytes of commands for a cluster are those of hiredis, with a generation in each key."""

from __future__ import annotations

import pytest
from hiredis import pack_command

from instafeed.core.cache import cluster_parts

GENERATION = "1234abcd-"
SAME_LENGTH = [f"if1:{{b}}:feed:{id_}" for id_ in range(1_000, 1_100)]
OTHER_LENGTHS = [f"if1:{{b}}:feed:{id_}" for id_ in range(50, 150)]
NOT_ASCII = [f"if1:{{b}}:limit:é{id_}" for id_ in range(1_000, 1_100)]


def packed(*arguments: str | int | bytes) -> bytes:
    result: bytes = pack_command(arguments)  # type: ignore[arg-type]  # hiredis' stub
    return result


@pytest.mark.parametrize("names", [SAME_LENGTH, OTHER_LENGTHS, NOT_ASCII, SAME_LENGTH[:3]])
def test_keys_of_a_script_get_the_generation(names: list[str]) -> None:
    (part,) = cluster_parts.split([("EVALSHA", "digest", len(names), *names, 500, b"\x00argument")])
    sent = [GENERATION + name for name in names]
    assert part.pack(GENERATION) == packed("EVALSHA", "digest", len(names), *sent, 500, b"\x00argument")
    assert part.keys == names


@pytest.mark.parametrize("names", [SAME_LENGTH, OTHER_LENGTHS])
def test_all_keys_of_a_read_get_the_generation(names: list[str]) -> None:
    (part,) = cluster_parts.split([("MGET", *names)])
    assert part.pack(GENERATION) == packed("MGET", *[GENERATION + name for name in names])


def test_key_without_a_tag_keeps_its_slot() -> None:
    (part,) = cluster_parts.split([("SET", "if1:worker:media", 1)])
    assert part.pack(GENERATION) == packed("SET", f"{GENERATION}{{if1:worker:media}}", 1)


def test_reads_share_the_part_of_a_bucket() -> None:
    parts = cluster_parts.split([("MGET", "{a}1", "{b}2"), ("GET", "{a}3"), ("MGET", "{b}4", "{a}5")])
    assert [part.command for part in parts] == [["MGET", "{a}1", "{a}5"], ["MGET", "{b}2", "{b}4"], ["GET", "{a}3"]]
    for part, reply in zip(parts, [[b"1", b"5"], [b"2", b"4"], b"3"], strict=True):
        part.reply = reply
    assert cluster_parts.join([("MGET", "", ""), ("GET", ""), ("MGET", "", "")], parts) == [
        [b"1", b"2"],
        b"3",
        [b"4", b"5"],
    ]
