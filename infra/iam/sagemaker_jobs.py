"""Rights on SageMaker's jobs. Their names are digests, so a tag says to which workload and stage a job belongs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from botocore import xform_name

from millrace.infra.iam.resource import Resource, Statement, every, resource
from millrace.infra.iam.step_functions import wait_for
from millrace.names import DEPLOYMENT_TAG, WorkloadNames

HASHED = "A job is named by a hash of its execution and retry; those of the deployment are known by their tag"


def run(names: WorkloadNames, kinds: Mapping[str, Sequence[str]]) -> list[Statement]:
    """The rights that a machine needs to run jobs.

    `kinds` has the kinds of jobs (`Training`, `Processing`, `Transform`), each with the owners of the roles that are
    passed to its jobs. Jobs of other workloads and stages have similar names, but not the deployment's tag."""
    owners = dict.fromkeys(owner for handed in kinds.values() for owner in handed)
    requested = {"StringEquals": {f"aws:RequestTag/{DEPLOYMENT_TAG}": names.prefix}}
    return [
        *(jobs(names, kind, where=requested).may(f"Create{kind}Job", "AddTags") for kind in kinds),
        *(own(names, kind).may(f"Describe{kind}Job", f"Stop{kind}Job") for kind in kinds),
        every("sagemaker", because="Step Functions asks it so, to find the jobs that it waits for").may("ListTags"),
        wait_for(names, *(f"SageMaker{kind}Jobs" for kind in kinds)),
        *([pass_roles(names, *owners)] if owners else []),
    ]


def own(names: WorkloadNames, kind: str) -> Resource:
    """The deployment's own jobs of this kind, by their tag."""
    return jobs(names, kind, where={"StringEquals": {f"aws:ResourceTag/{DEPLOYMENT_TAG}": names.prefix}})


def jobs(names: WorkloadNames, *kinds: str, where: Mapping[str, Mapping[str, str]] | None = None) -> Resource:
    """Jobs of these kinds, named as in SageMaker's calls. Without a condition these are the jobs of every workload."""
    # `HyperParameterTuning` is `hyper-parameter-tuning-job` in an ARN.
    arns = [names.platform.arn("sagemaker", f"{xform_name(kind, '-')}-job/*") for kind in kinds]
    return resource("sagemaker", *arns, where=where, because=HASHED)


def pass_roles(names: WorkloadNames, *owners: str, to: str = "sagemaker.amazonaws.com") -> Statement:
    """Pass roles of the workload to a service."""
    passed = {"StringEquals": {"iam:PassedToService": to}}
    return resource("iam", *(names.role_arn(owner) for owner in owners), where=passed).may("PassRole")
