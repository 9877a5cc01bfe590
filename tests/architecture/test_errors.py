"""The tree of errors in the docstring is the tree in the code."""

from __future__ import annotations

import re

from millrace import errors


def drawn() -> dict[str, str]:
    """Child to parent, as the docstring draws it."""
    parents: dict[int, str] = {}
    tree = {}
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"^([│├└─ ]*)(\w+Error)\b", line)
        if not match:
            continue
        depth = len(match[1]) // 4
        parents[depth] = match[2]
        if depth:
            tree[match[2]] = parents[depth - 1]
    return tree


def test_the_drawn_tree_is_the_real_one() -> None:
    real = {
        error.__name__: error.__base__.__name__
        for error in vars(errors).values()
        if isinstance(error, type) and issubclass(error, errors.MillraceError) and error is not errors.MillraceError
    }
    assert drawn() == real
