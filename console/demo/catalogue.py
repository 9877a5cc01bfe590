"""The stories that the demo can play, by workload."""

from __future__ import annotations

from collections.abc import Sequence

from millrace.console.demo import air_quality, electricity, xray
from millrace.console.demo.story import Story
from millrace.errors import ConfigurationError

STORIES: dict[str, Story] = {story.workload: story for story in (electricity.STORY, xray.STORY, air_quality.STORY)}


def chosen(workloads: Sequence[str]) -> list[Story]:
    """The stories of these workloads; raises ConfigurationError if a workload has no story."""
    for workload in workloads:
        if workload not in STORIES:
            expected = f"one of {', '.join(STORIES)}"
            raise ConfigurationError(where="demo", field="--workload", expected=expected, came=workload)
    return [STORIES[workload] for workload in workloads]
