"""How many examples a fuzz draws: a fifth beside the fast tests, all of them with the slow ones (`make test-slow`)."""

from __future__ import annotations

is_whole = False
"""Set before the tests are collected."""


def examples(whole: int) -> int:
    """Of `whole` examples those that are drawn in this run."""
    return whole if is_whole else max(5, whole // 5)
