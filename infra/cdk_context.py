"""Reads what the context of `cdk.json` and of `-c` says of stages, and finds what in it has no effect."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from millrace.errors import ConfigurationError
from millrace.names import STAGES
from millrace.spelling import did_you_mean, one_of

EXAMPLE = '{"dev": {"tags": {"cost-centre": "4711"}}}'
KEYS = ("stage", "account", "region", "workloads", "bases", "stages")
"""All keys that the app reads."""
OF_CDK = re.compile("cli-telemetry$|acknowledged-issue-numbers$|.*[:@]")
"""Keys that the CDK itself reads: two names, and all names with a colon or an at sign (`@aws-cdk/…`, `aws:cdk:…`)."""


def by_stage(value: object) -> Mapping[str, Any]:
    """The options of each stage. A value of the command line (`-c stages=…`) is JSON.

    Raises ConfigurationError if the value is no mapping of stages."""
    try:
        found = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        found = value
    if found in (None, ""):
        return {}
    if not isinstance(found, Mapping):
        expected = f"values by stage, such as {EXAMPLE}"
        raise ConfigurationError(where="context", field="stages", expected=expected, came=value)
    return found


def unread(context: Mapping[str, Any]) -> dict[str, str]:
    """What in the context has no effect, each with a sentence.

    That is a key that nothing reads, or a stage that cannot be synthesized: it is none of ours, and has no `like`.
    Example: `{"stages.dve": "stages.dve in the context: expected local, dev, prod, or …"}`"""
    found = {}
    for key in context:
        if key not in KEYS and not OF_CDK.match(key):
            found[key] = f"{key} in the context: expected {one_of(key, KEYS)}; nothing reads it"
    stages = by_stage(context.get("stages"))
    # A stage of its own name is known if its options say which of ours it is like.
    likes = {stage for stage, options in stages.items() if isinstance(options, Mapping) and "like" in options}
    known = (*STAGES, *sorted(likes - {*STAGES}))
    for stage in sorted({*stages} - {*known}):
        expected = f"{', '.join(known)}, or a name with stages.{stage}.like{did_you_mean([stage], known)}"
        found[f"stages.{stage}"] = f"stages.{stage} in the context: expected {expected}; there is no such stage"
    return found
