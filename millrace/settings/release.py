"""Settings of functions that release versions, pull those of another stage, or refuse unapproved ones."""

from __future__ import annotations

from millrace.names import Platform, WorkloadNames
from millrace.settings.environment import Environment
from millrace.workload.rollout import Approval


class ReleaseSettings(Environment):
    """Who approves a version in this stage."""

    approval: Approval


class PullSettings(Environment):
    """The other stage, in the same region, and what its versions are compared with."""

    inference_image: str
    source_account: str
    source_stage: str
    source_signing_key_arn: str
    """The key that signs the versions of the other stage."""

    @property
    def source(self) -> WorkloadNames:
        """The names of the workload in the other stage."""
        platform = Platform(stage=self.source_stage, account=self.source_account, region=self.region)
        return WorkloadNames(platform=platform, workload=self.workload)
