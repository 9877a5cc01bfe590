"""What the local cloud would send to the owner of a stage."""

from __future__ import annotations

import json

from millrace.console.local_cloud.local_cloud import LocalCloud

ADDRESS = "operator@example.com"


def mails(cloud: LocalCloud, address: str = ADDRESS) -> list[str]:
    """The line of a notice, or state, alarm and description of an alarm, of each mail in order; else its text."""
    logs = cloud.client("logs")
    if not logs.describe_log_groups(logGroupNamePrefix="/local/mail")["logGroups"]:
        return []
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName="/local/mail", logStreamNames=[address])
    return [_said(json.loads(event["message"])["message"]) for page in pages for event in page["events"]]


def _said(message: str) -> str:
    try:
        said = json.loads(message)
    except json.JSONDecodeError:
        return message
    return said if isinstance(said, str) else f"{said['NewStateValue']} {said['AlarmName']}: {said['AlarmDescription']}"
