"""Registers the live version's model as a new version, and tells of it, as a training does at its end."""

from __future__ import annotations

import json

from millrace.console.local_cloud.local_cloud import LocalCloud
from millrace.names import WorkloadNames
from millrace.release.registry import WAS_LIVE
from millrace.state.pointers import ReleasePointers
from millrace.state.table import StateTable


def register(cloud: LocalCloud, names: WorkloadNames) -> str:
    """The ARN of a new version with the champion's artefact and evaluation, beside the champion."""
    champion = ReleasePointers(StateTable(cloud.client("dynamodb"), names)).champion()
    assert champion is not None
    sagemaker = cloud.client("sagemaker")
    package = sagemaker.describe_model_package(ModelPackageName=champion.package_arn)
    known = {name: text for name, text in package["CustomerMetadataProperties"].items() if name != WAS_LIVE}
    kept = ("ModelPackageGroupName", "InferenceSpecification", "ModelMetrics")
    made = sagemaker.create_model_package(
        ModelApprovalStatus="PendingManualApproval",
        CustomerMetadataProperties={**known, "beside": champion.version},
        **{name: package[name] for name in kept if name in package},
    )
    return str(made["ModelPackageArn"])


def tell(cloud: LocalCloud, names: WorkloadNames, package_arn: str) -> None:
    """Send the event that the machine `train` sends of a registered version."""
    detail = {"workload": names.workload, "package_arn": package_arn}
    entry = {"Source": "millrace", "DetailType": "model.registered", "Detail": json.dumps(detail)}
    told = cloud.client("events").put_events(Entries=[{**entry, "EventBusName": names.platform.bus}])
    assert told["FailedEntryCount"] == 0
