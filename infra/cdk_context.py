"""What the context of `cdk.json` and `-c` say by stage, `"tracking": {"dev": "app"}`, and what of it nothing reads."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from millrace.errors import ConfigurationError
from millrace.names import STAGES
from millrace.spelling import did_you_mean

EXAMPLES = {
    "stages": '{"dev": {"tags": {"cost-centre": "4711"}}}',
    "tracking": '{"dev": "app"}',
    "alarm_email": '{"prod": "team@example.com"}',
    "alarm_webhook": '{"prod": "chat/url"}',
}
"""By key what it may say of a stage."""
KEYS = ("stage", "account", "region", "workloads", *EXAMPLES)
"""All that the app reads."""
OF_CDK = re.compile("cli-telemetry$|acknowledged-issue-numbers$|.*[:@]")
"""What the CDK itself reads: two names, and those with a colon or an at sign (`@aws-cdk/…`, `aws:cdk:…`, look-ups)."""
SECRET = "alarm_webhook"  # noqa: S105 - a key's name # pragma: allowlist secret
"""The key whose value may be a chat's URL by mistake, which no message repeats."""


def by_stage(value: object, key: str) -> Mapping[str, Any]:
    """What the context says below the key, by stage; a value of the command line (`-c tracking=…`) is JSON.

    Raises ConfigurationError where it says nothing by stage."""
    try:
        found = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        found = value
    if found in (None, ""):
        return {}
    if not isinstance(found, Mapping):
        expected = f"values by stage, such as {EXAMPLES[key]}"
        raise ConfigurationError(where="context", field=key, expected=expected, came=_shown(value, key))
    return found


def text_of(value: object, key: str, stage: str) -> str:
    """The text that the context has for the stage below the key; empty without one.

    Raises ConfigurationError where it is none."""
    found = by_stage(value, key).get(stage)
    if found is not None and not isinstance(found, str):
        expected = f"a text, such as {EXAMPLES[key]}"
        raise ConfigurationError(where="context", field=f"{key}.{stage}", expected=expected, came=_shown(found, key))
    return found or ""


def unread(context: Mapping[str, Any]) -> dict[str, str]:
    """What takes no effect, each with a sentence: keys that nothing reads, and stages that cannot be synthesized, as
    they are none of ours and nothing says what they are like.

    Example: `{"alarm_email.dve": "alarm_email.dve in the context: expected local, dev, prod, or …"}`"""
    found = {}
    for key in context:
        if key not in KEYS and not OF_CDK.match(key):
            expected = f"one of {', '.join(KEYS)}{did_you_mean([key], KEYS)}"
            found[key] = f"{key} in the context: expected {expected}; nothing reads it"
    said = {key: by_stage(context.get(key), key) for key in EXAMPLES}
    likes = {stage for stage, options in said["stages"].items() if isinstance(options, Mapping) and "like" in options}
    known = (*STAGES, *sorted(likes - {*STAGES}))
    for key, stages in said.items():
        for stage in sorted({*stages} - {*known}):
            expected = f"{', '.join(known)}, or a name with stages.{stage}.like{did_you_mean([stage], known)}"
            found[f"{key}.{stage}"] = f"{key}.{stage} in the context: expected {expected}; there is no such stage"
    return found


def _shown(value: object, key: str) -> object:
    return "another text" if key == SECRET else value
