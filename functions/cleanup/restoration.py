"""After a release that did not end well the endpoint serves the version that the release pointers name, no other."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from millrace.aws.endpoints import served_model
from millrace.messages.release import Rollback
from millrace.names import VARIANT, WorkloadNames
from millrace.state.pointers import Version
from millrace.timestamps import format_utc


@dataclass(frozen=True, kw_only=True)
class Restoration:
    """`sagemaker`, `scaling` and `states` are boto3's clients."""

    sagemaker: Any
    scaling: Any
    states: Any
    names: WorkloadNames

    def restore(self, champion: Version | None, *, ended: str, given: str | None, as_of: datetime) -> list[str]:
        """What was started; nothing where the endpoint serves the champion and is scaled, or either is not there.

        `ended` is the release's execution and `given` its input. A release that restored is not restored itself: it
        would fail for ever."""
        served = served_model(self.sagemaker, self.names.endpoint)
        if served == "" or champion is None or _restored(given):
            return []
        if served == champion.model_name and self._is_scaled():
            return []
        # It is changing still, serves what was never promoted, or has lost its scaling to an update that failed.
        # SageMaker cannot stop an update: the machine waits for its end, and for that of a release which has begun
        # since. Where the live version is back by then it only has to be scaled and watched again.
        name = f"restore-{hashlib.sha256(ended.encode()).hexdigest()[:40]}"
        rollback = Rollback(
            reason=f"{ended} ended before version {champion.version} was replaced",
            who="cleanup",
            to=champion.version,
            restores=True,
        )
        document = {"cause": ended, "as_of": format_utc(as_of), "rollback": rollback.model_dump()}
        try:
            self.states.start_execution(
                stateMachineArn=self.names.machine_arn("release"),
                name=name,
                input=json.dumps(document, sort_keys=True),
            )
        except self.states.exceptions.ExecutionAlreadyExists:
            return []
        return [f"execution {name}"]

    def _is_scaled(self) -> bool:
        resource = f"endpoint/{self.names.endpoint}/variant/{VARIANT}"
        found = self.scaling.describe_scalable_targets(ServiceNamespace="sagemaker", ResourceIds=[resource])
        return bool(found["ScalableTargets"])


def _restored(given: str | None) -> bool:
    try:
        document = json.loads(given or "{}")
    except RecursionError:  # whoever starts an execution may nest its input as deep as they like
        return False
    rollback = document.get("rollback") if isinstance(document, dict) else None
    return isinstance(rollback, dict) and rollback.get("restores") is True
