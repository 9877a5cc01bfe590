"""Acknowledges findings of the static packs, each on its own resource, by its exact name and with the reason."""

from __future__ import annotations

from collections.abc import Mapping

import aws_cdk as cdk


def acknowledge(resource: cdk.CfnResource, reasons: Mapping[str, str]) -> None:
    """Acknowledge findings on this resource. `reasons` has the id of each finding, as the pack prints it.

    cdk-nag reads acknowledgements from the construct (`AwsSolutions-L1`), checkov reads them from the template
    (`CKV_AWS_18`)."""
    skipped = [{"id": key, "comment": reason} for key, reason in reasons.items() if key.startswith("CKV")]
    named = [cdk.Acknowledgment(id=key, reason=reason) for key, reason in reasons.items() if not key.startswith("CKV")]
    if named:
        cdk.Validations.of(resource).acknowledge(*named)
    if skipped:
        resource.add_metadata("checkov", {"skip": skipped})
