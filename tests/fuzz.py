"""How many examples a fuzz draws: a fifth by day, all of them at night (`make test-night`)."""

from __future__ import annotations

is_whole = False
"""Set before the tests are collected."""
REASON = "by day a fifth of the examples"


def examples(whole: int) -> int:
    """Of `whole` examples those that are drawn in this run."""
    return whole if is_whole else max(5, whole // 5)
