"""What the context of `cdk.json` and `-c` say by stage: `"tracking": {"dev": "app"}`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from millrace.errors import ConfigurationError

EXAMPLES = {
    "stages": '{"dev": {"tags": {"cost-centre": "4711"}}}',
    "tracking": '{"dev": "app"}',
    "alarm_email": '{"prod": "team@example.com"}',
    "alarm_webhook": '{"prod": "chat/url"}',
}
"""By key what it may say of a stage."""
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


def _shown(value: object, key: str) -> object:
    return "another text" if key == SECRET else value
