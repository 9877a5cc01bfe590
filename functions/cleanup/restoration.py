"""After a release that did not end well the endpoint serves the version that the release pointers name, no other."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from millrace.aws.endpoints import served_model
from millrace.errors import ConflictError
from millrace.messages.release import Rollback
from millrace.names import WorkloadNames
from millrace.state.pointers import Version
from millrace.timestamps import stamp


@dataclass(frozen=True, kw_only=True)
class Restoration:
    """`sagemaker` and `states` are boto3's clients."""

    sagemaker: Any
    states: Any
    names: WorkloadNames

    def restore(self, champion: Version | None, *, ended: str, given: str | None, as_of: datetime) -> list[str]:
        """What was started or deleted; nothing where the endpoint serves the champion, or is gone.

        `ended` is the release's execution and `given` its input. A release that restored is not restored itself: it
        would fail for ever. Raises ConflictError for an endpoint without a champion that cannot be deleted yet."""
        served = served_model(self.sagemaker, self.names.endpoint)
        if served == "" or _restored(given):
            return []
        if champion is None:
            return self._delete(served)
        if served == champion.model_name:
            return []
        # It is changing still, or serves what was never promoted. SageMaker cannot stop an update: the machine waits
        # for its end, and has nothing to do where the release's alarms brought the old version back.
        name = f"restore-{hashlib.sha256(ended.encode()).hexdigest()[:40]}"
        rollback = Rollback(
            reason=f"{ended} ended before version {champion.version} was replaced",
            who="cleanup",
            to=champion.version,
            restores=True,
        )
        document = {"cause": ended, "as_of": stamp(as_of), "rollback": rollback.model_dump()}
        try:
            self.states.start_execution(
                stateMachineArn=self.names.machine_arn("release"),
                name=name,
                input=json.dumps(document, sort_keys=True),
            )
        except self.states.exceptions.ExecutionAlreadyExists:
            return []
        return [f"execution {name}"]

    def _delete(self, served: str | None) -> list[str]:
        if served is None:
            expected = "expected it in service, to delete it: no version is live"
            raise ConflictError(f"endpoint {self.names.endpoint}: {expected}")
        self.sagemaker.delete_endpoint(EndpointName=self.names.endpoint)
        return [f"endpoint {self.names.endpoint}"]


def _restored(given: str | None) -> bool:
    try:
        document = json.loads(given or "{}")
    except RecursionError:  # whoever starts an execution may nest its input as deep as they like
        return False
    rollback = document.get("rollback") if isinstance(document, dict) else None
    return isinstance(rollback, dict) and rollback.get("restores") is True
