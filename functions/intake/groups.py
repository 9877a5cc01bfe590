"""Small drops of one feed go together: one execution, one commit, one transform job for all of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from functions.intake.arrivals import Arrival
from millrace.messages.ingest import MOST_TOGETHER, bytes_in_json

SMALL_BYTES, GROUP_BYTES = 2**20, 16 * 2**20
"""Of a drop that goes together with others, and of all drops of a group: one function reads them one by one."""
LONGEST_KEY, LONGEST_VERSION = 200, 64
"""Bytes in JSON: the state of an execution, 256 KiB at most, holds the names of its drops several times."""


def groups(arrivals: Iterable[Arrival], *, has_images: bool = False) -> Iterator[list[Arrival]]:
    """The drops, each once, as they go together; one that is not small is alone.

    `has_images`: rows may have images. A drop of theirs may be a manifest, whose objects count as its bytes do and are
    not known here; drops of labels have none."""
    small: dict[str, list[Arrival]] = {}
    for arrival in arrivals:
        if is_small(arrival) and not (has_images and arrival.feed != "labels"):
            small.setdefault(arrival.feed, []).append(arrival)
        else:
            yield [arrival]
    for of_feed in small.values():
        yield from _cut(of_feed)


def is_small(arrival: Arrival) -> bool:
    """Whether it goes together with others; a drop of unknown size does not."""
    key, version = bytes_in_json(arrival.object["key"]), bytes_in_json(arrival.object["version_id"])
    return 0 < arrival.size <= SMALL_BYTES and key <= LONGEST_KEY and version <= LONGEST_VERSION


def _cut(arrivals: list[Arrival]) -> Iterator[list[Arrival]]:
    part: list[Arrival] = []
    for arrival in arrivals:
        if len(part) == MOST_TOGETHER or sum(each.size for each in part) + arrival.size > GROUP_BYTES:
            yield part
            part = []
        part.append(arrival)
    yield part
