"""Has the live version restored if the endpoint does not serve what the pointers name, as after a failed release.

An example:

    release of version 3 fails    the endpoint serves version 3, or is changing; the pointers name version 2
    cleanup                       starts a release: {"rollback": {"to": "2", "restores": true, "who": "cleanup", …}}
    that release                  waits for the end of any change, and makes the endpoint serve version 2 again
    it fails too                  the sweep starts another one, once a day
"""

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
    """Starts a restoration. `sagemaker`, `scaling` and `states` are boto3's clients."""

    sagemaker: Any
    scaling: Any
    states: Any
    names: WorkloadNames

    def restore(self, champion: Version | None, *, who: str, cause: str, key: str, as_of: datetime) -> list[str]:
        """Start a release that restores the champion, if that is needed. Returns what was started.

        It is not needed if the endpoint serves the champion and is scaled, if there is no endpoint, or if there is no
        champion. One execution is started for each `key`, so that an event that comes twice starts one."""
        served = served_model(self.sagemaker, self.names.endpoint)
        if served == "" or champion is None or (served == champion.model_name and self._is_scaled()):
            return []
        # The endpoint is still changing, or serves a version that was never promoted, or an update that failed has cost
        # it its scaling. SageMaker cannot stop an update, so the machine waits for its end, and for a release that has
        # begun since. If the live version is back by then, it only has to be scaled and watched again.
        name = f"restore-{hashlib.sha256(key.encode()).hexdigest()[:40]}"
        rollback = Rollback(
            reason=f"{cause}: the endpoint does not serve version {champion.version}, or is not scaled",
            who=who,
            to=champion.version,
            restores=True,
        )
        document = {"cause": cause, "as_of": format_utc(as_of), "rollback": rollback.model_dump()}
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
        """Whether Auto Scaling scales the live endpoint."""
        resource = f"endpoint/{self.names.endpoint}/variant/{VARIANT}"
        found = self.scaling.describe_scalable_targets(ServiceNamespace="sagemaker", ResourceIds=[resource])
        return bool(found["ScalableTargets"])


def is_restoration(given: str | None) -> bool:
    """Whether the input is that of a restoration."""
    try:
        document = json.loads(given or "{}")
    except RecursionError:  # whoever starts an execution may nest its input as deep as they like
        return False
    rollback = document.get("rollback") if isinstance(document, dict) else None
    return isinstance(rollback, dict) and rollback.get("restores") is True
