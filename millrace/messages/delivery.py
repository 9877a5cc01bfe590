"""How long EventBridge tries to deliver an event to a target of our rules before the event becomes a dead letter.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-retry-policy.html"""

from __future__ import annotations

from datetime import timedelta

LONGEST = timedelta(hours=1)
"""The time from the event to the last attempt. Without this setting a rule tries for a day."""
RETRIES = 8
"""The most attempts after the first one, within LONGEST."""
