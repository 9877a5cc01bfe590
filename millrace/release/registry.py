"""Model versions in SageMaker Model Registry: a package group for each workload, and a package for each version.

The package's metadata has the digests of all that the version was made of.

    registered       PendingManualApproval
    a person says    Approved or Rejected, and SageMaker keeps who said so
    who may not      PendingManualApproval again
    live, or was     Approved, and WAS_LIVE in its metadata: a rollback returns to such a version only
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from millrace.errors import ArtefactError, ConflictError
from millrace.release.askers import UNKNOWN
from millrace.timestamps import format_utc

PENDING = "PendingManualApproval"
"""The registry's status of a version about which nobody has decided yet."""
APPROVED = "Approved"
"""The registry's status of a version that a person has approved, or that went live without one."""
REJECTED = "Rejected"
"""The registry's status of a version that a person has refused, or that nobody has approved in time."""
WAS_LIVE = "was_live"
"""The key of the metadata of a version that is or was live: its value is the execution that released it."""
ASKED_BY = "asked_by"
"""The key of the metadata with the identity that asked for the training, NOBODY or UNKNOWN. Its digest is signed."""
ORIGIN = "origin"
"""The key of the metadata of a pulled version: the ARN of the version of the other stage."""
PACKAGE_FILE = "package.json"
"""The version as it was registered, in the folder of its run: a registry that was lost is made again of these files."""
MAXIMUM_METADATA = 50
"""The most entries in the CustomerMetadataProperties of a package, by AWS's API."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A model that passed its gates and is to be registered."""

    run: str
    """The name of the train execution. One run registers one version."""
    image: str
    model_data_url: str
    evaluation_uri: str
    instances: tuple[str, ...]
    """The instance types that it may be served on."""
    metadata: Mapping[str, str]
    """The digests, and what else leads from the version back to its rows."""


@dataclass(frozen=True, kw_only=True)
class Package:
    """A registered version as AWS describes it."""

    arn: str
    version: str
    image: str
    model_data_url: str
    approval: str
    """The registry's status: PENDING, APPROVED or REJECTED."""
    decided_at: datetime
    """When it was registered, or its approval last changed: since then it has its status."""
    changed_by: str
    """The ARN of the identity that has changed the package last, as SageMaker knows it; empty if nobody has.

    Until a version is live, that is who has approved or refused it."""
    said: str
    """What that identity has said about it; empty for nothing."""
    metadata: Mapping[str, str]

    @property
    def refusal(self) -> str:
        """Who has refused the version, and why, for a person; empty if nobody has."""
        if self.approval != REJECTED:
            return ""
        return f"{self.changed_by or 'somebody'} has refused it: {self.said or 'without a reason'}"

    @property
    def asked_by(self) -> str:
        """The identity that asked for its training, NOBODY or UNKNOWN."""
        return self.metadata.get(ASKED_BY, UNKNOWN)

    @property
    def was_live(self) -> bool:
        """Whether the version is live, or was."""
        return WAS_LIVE in self.metadata


@dataclass(frozen=True, kw_only=True)
class KeptVersion(Candidate):
    """A version as it was registered: the content of PACKAGE_FILE."""

    version: str
    registered_at: str

    @classmethod
    def of(cls, candidate: Candidate, package: Package) -> KeptVersion:
        return cls(**vars(candidate), version=package.version, registered_at=format_utc(package.decided_at))

    def encode(self) -> bytes:
        return json.dumps(asdict(self), sort_keys=True).encode()


def last_registered(kept: Iterable[KeptVersion]) -> list[KeptVersion]:
    """The versions that a registry had last, by their numbers: a group that was made again begins at 1 again."""
    found: dict[int, KeptVersion] = {}
    for one in sorted(kept, key=lambda each: (each.registered_at, int(each.version))):
        before = {number: each for number, each in found.items() if number < int(one.version)}
        found = {**before, int(one.version): one}
    return list(found.values())


class Registry:
    """The packages of one group. `client` is boto3's SageMaker client."""

    def __init__(self, client: Any, *, group: str) -> None:
        self._client, self._group = client, group

    def register(self, candidate: Candidate) -> Package:
        """The package of this run: made now, or found if an earlier attempt has made it. A new one waits for approval.

        Raises ArtefactError if the metadata has more entries than AWS keeps."""
        metadata = {"run": candidate.run, **candidate.metadata}
        if len(metadata) > MAXIMUM_METADATA:
            raise ArtefactError(
                f"{candidate.run}: metadata: expected at most {MAXIMUM_METADATA} entries, got {len(metadata)}"
            )
        # An earlier attempt's package is among the newest, since runs of a workload follow each other.
        found = (package for package in islice(self.all(), 3) if package.metadata.get("run") == candidate.run)
        return next(found, None) or self._create(candidate, metadata)

    def restore(self, kept: KeptVersion) -> Package:
        """The package of a version that is lost, with its number. The number of a version that nobody kept stays free.

        Raises ConflictError if the registry is beyond this number."""
        made = [self._create(kept, {"run": kept.run, **kept.metadata})]
        while int(made[-1].version) < int(kept.version):
            made.append(self._create(kept, {"run": kept.run, **kept.metadata}))
        wanted = made.pop() if made[-1].version == kept.version else None
        for package in made:
            self._client.delete_model_package(ModelPackageName=package.arn)
        if wanted is None:
            raise ConflictError(f"{self._group}: expected to register version {kept.version}, got {made[-1].version}")
        return wanted

    def describe(self, arn: str) -> Package:
        """The package with this ARN. Raises ArtefactError if its container has no model data URL: it is not ours."""
        answer = self._client.describe_model_package(ModelPackageName=arn)
        container = answer["InferenceSpecification"]["Containers"][0]
        if "ModelDataUrl" not in container:
            raise ArtefactError(f"{arn}: expected one container with ModelDataUrl, got {sorted(container)}")
        return Package(
            arn=answer["ModelPackageArn"],
            version=str(answer["ModelPackageVersion"]),
            image=container["Image"],
            model_data_url=container["ModelDataUrl"],
            approval=answer["ModelApprovalStatus"],
            decided_at=answer.get("LastModifiedTime") or answer["CreationTime"],
            changed_by=answer.get("LastModifiedBy", {}).get("IamIdentity", {}).get("Arn", ""),
            said=answer.get("ApprovalDescription", ""),
            metadata=dict(answer.get("CustomerMetadataProperties") or {}),
        )

    def all(self) -> Iterator[Package]:
        """Every package, the newest first."""
        return map(self.describe, self.arns())

    def was_never_live(self) -> bool:
        """Whether the registry proves that no version ever went live: it has versions, and none was live."""
        # Exactly this set: an empty registry proves nothing.
        found = (self._client.describe_model_package(ModelPackageName=arn) for arn in self.arns())
        return {WAS_LIVE in (one.get("CustomerMetadataProperties") or {}) for one in found} == {False}

    def waiting(self) -> Iterator[Package]:
        """The packages about which nobody has decided, the newest first."""
        return map(self.describe, self.arns(ModelApprovalStatus=PENDING))

    def approve(self, package: Package, *, reason: str) -> None:
        """Approve the version. SageMaker keeps the caller's identity, and sends an event that starts its release."""
        self._decide(package, APPROVED, reason)

    def refuse(self, package: Package, *, reason: str) -> None:
        """Refuse the version: it is not released. SageMaker keeps the caller's identity."""
        self._decide(package, REJECTED, reason)

    def reopen(self, package: Package, *, reason: str) -> None:
        """Let a version wait again for a person. No event of it starts a release."""
        self._decide(package, PENDING, reason)

    def mark_live(self, package: Package, *, execution: str) -> None:
        """Note that the execution has made the version live. A version that nobody had to approve is approved by it."""
        if package.was_live:
            return
        by_release = {"ModelApprovalStatus": APPROVED, "ApprovalDescription": f"released by {execution}"}
        self._client.update_model_package(
            ModelPackageArn=package.arn,
            CustomerMetadataProperties={**package.metadata, WAS_LIVE: execution.rpartition(":")[2]},
            **(by_release if package.approval == PENDING else {}),
        )

    def _decide(self, package: Package, status: str, reason: str) -> None:
        self._client.update_model_package(
            ModelPackageArn=package.arn,
            ModelApprovalStatus=status,
            ApprovalDescription=reason,
            CustomerMetadataProperties=dict(package.metadata),  # an update may replace it
        )

    def arns(self, **only: str) -> Iterator[str]:
        """The ARN of every version, or of `only` some, the newest first."""
        pages = self._client.get_paginator("list_model_packages").paginate(
            ModelPackageGroupName=self._group, SortBy="CreationTime", SortOrder="Descending", **only
        )
        return (summary["ModelPackageArn"] for page in pages for summary in page["ModelPackageSummaryList"])

    def _create(self, candidate: Candidate, metadata: dict[str, str]) -> Package:
        answer = self._client.create_model_package(
            ModelPackageGroupName=self._group,
            ModelPackageDescription=f"made by run {candidate.run}",
            ModelApprovalStatus=PENDING,
            InferenceSpecification={
                "Containers": [{"Image": candidate.image, "ModelDataUrl": candidate.model_data_url}],
                "SupportedContentTypes": ["application/json"],
                "SupportedResponseMIMETypes": ["application/json"],
                "SupportedRealtimeInferenceInstanceTypes": list(candidate.instances),
                "SupportedTransformInstanceTypes": list(candidate.instances),
            },
            ModelMetrics={
                "ModelQuality": {
                    "Statistics": {"ContentType": "application/json", "S3Uri": candidate.evaluation_uri},
                }
            },
            CustomerMetadataProperties=metadata,
        )
        return self.describe(answer["ModelPackageArn"])
