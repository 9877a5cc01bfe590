"""Tags a stack and each of its resources that takes tags."""

from __future__ import annotations

from collections.abc import Mapping

import aws_cdk as cdk


def tag(stack: cdk.Stack, tags: Mapping[str, str]) -> None:
    """Tag the stack and everything in it. The rule `tags` finds what was left out."""
    for key, value in tags.items():
        cdk.Tags.of(stack).add(key, value)
