"""How long EventBridge tries to deliver an event to a target of ours, before it is a dead letter.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-retry-policy.html"""

from __future__ import annotations

from datetime import timedelta

LONGEST = timedelta(hours=1)
"""From the event on; a rule that says nothing tries for a day."""
RETRIES = 8
"""After the first attempt, within that time."""
