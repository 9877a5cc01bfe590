"""Reads the context of `cdk.json` and of `-c`, which has values by stage, and finds what in it has no effect.

Example: `"tracking": {"dev": "app"}`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from millrace.errors import ConfigurationError
from millrace.names import STAGES
from millrace.spelling import did_you_mean, one_of

EXAMPLES = {
    "stages": '{"dev": {"tags": {"cost-centre": "4711"}}}',
    "tracking": '{"dev": "app"}',
    "alarm_email": '{"prod": "team@example.com"}',
    "alarm_webhook": '{"prod": "chat/url"}',
}
"""The keys that have values by stage, each with an example."""
KEYS = ("stage", "account", "region", "workloads", "bases", *EXAMPLES)
"""All keys that the app reads."""
OF_CDK = re.compile("cli-telemetry$|acknowledged-issue-numbers$|.*[:@]")
"""Keys that the CDK itself reads: two names, and all names with a colon or an at sign (`@aws-cdk/…`, `aws:cdk:…`)."""
SECRET = "alarm_webhook"  # noqa: S105 - a key's name # pragma: allowlist secret
"""The value of this key may be the URL of a chat by mistake. That is a secret, so no message repeats it."""


def by_stage(value: object, key: str) -> Mapping[str, Any]:
    """The context's values below the key, by stage. A value of the command line (`-c tracking=…`) is JSON.

    Raises ConfigurationError if the value is no mapping of stages."""
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
    """The context's text below the key for the stage; "" without one.

    Raises ConfigurationError if the value is no text."""
    found = by_stage(value, key).get(stage)
    if found is not None and not isinstance(found, str):
        expected = f"a text, such as {EXAMPLES[key]}"
        raise ConfigurationError(where="context", field=f"{key}.{stage}", expected=expected, came=_shown(found, key))
    return found or ""


def unread(context: Mapping[str, Any]) -> dict[str, str]:
    """What in the context has no effect, each with a sentence.

    That is a key that nothing reads, or a stage that cannot be synthesized: it is none of ours, and has no `like`.
    Example: `{"alarm_email.dve": "alarm_email.dve in the context: expected local, dev, prod, or …"}`"""
    found = {}
    for key in context:
        if key not in KEYS and not OF_CDK.match(key):
            found[key] = f"{key} in the context: expected {one_of(key, KEYS)}; nothing reads it"
    said = {key: by_stage(context.get(key), key) for key in EXAMPLES}
    # A stage of its own name is known if its options say which of ours it is like.
    likes = {stage for stage, options in said["stages"].items() if isinstance(options, Mapping) and "like" in options}
    known = (*STAGES, *sorted(likes - {*STAGES}))
    for key, stages in said.items():
        for stage in sorted({*stages} - {*known}):
            expected = f"{', '.join(known)}, or a name with stages.{stage}.like{did_you_mean([stage], known)}"
            found[f"{key}.{stage}"] = f"{key}.{stage} in the context: expected {expected}; there is no such stage"
    return found


def _shown(value: object, key: str) -> object:
    return "another text" if key == SECRET else value
