"""Settings of the function of one consumer."""

from __future__ import annotations

from millrace.settings.environment import Environment


class ConsumerSettings(Environment):
    """Which of the workload's consumers it serves, and the queue that feeds it."""

    consumer: str
    queue_url: str
    tries: int
    """After so many the message is a dead letter."""
