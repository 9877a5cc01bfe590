"""Why drops stay in a queue of the local cloud: a drop to score waits for the workload's first model."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from millrace.messages.execution import UNWANTED
from millrace.names import Platform, WorkloadNames
from millrace.state.pointers import ReleasePointers
from millrace.state.table import StateTable


def explain(client: Callable[[str], Any], platform: Platform, moving: Sequence[str]) -> list[str]:
    """A sentence for each queue of drops in `moving` whose workload has no live model. `client` makes boto3's clients.

    Empty if the cloud does not answer."""
    # The cloud's line for a queue: `3 messages in millrace-local-mine-drops`.
    queue = re.compile(rf"\d+ messages in {re.escape(platform.prefix)}-(\S+)-drops")
    slugs = [match[1] for line in moving if (match := queue.fullmatch(line))]
    try:
        return [*_sentences(client, platform, slugs)]
    except (BotoCoreError, ClientError):
        return []


def _sentences(client: Callable[[str], Any], platform: Platform, slugs: Sequence[str]) -> Iterator[str]:
    for slug in slugs:
        names = WorkloadNames(platform=platform, workload=slug.replace("-", "_"))
        if ReleasePointers(StateTable(client("dynamodb"), names)).champion() is None:
            why = f"{names.queue('drops')}: a drop to score waits for a model, and {names.workload} has none"
            yield "; ".join((why, *_last_training(client("stepfunctions"), names)))


def _last_training(states: Any, names: WorkloadNames) -> Iterator[str]:
    """The newest training, if it has failed: that may be why there is no model."""
    newest = states.list_executions(stateMachineArn=names.machine_arn("train"), maxResults=1)["executions"]
    for one in newest:
        if one["status"] in UNWANTED:
            error = states.describe_execution(executionArn=one["executionArn"]).get("error", "no error")
            yield f"its training {one['name']} {one['status']}: {error} (`millrace show {one['name']}`)"
