"""SageMaker Model Registry: keeps groups and versions of model packages as AWS does, and sends their events.

moto drops ModelLifeCycle, ModelCard, SourceUri and image digests. Its updates set to null what they do not name. After
a deletion it gives the same version again. It takes the name of a group twice, and puts no event on the bus.
Not known of AWS: whether a group that is made again begins at version 1, as here.
Refused by name, as not covered: validation and algorithm specifications (marketplace), packages without a group.
"""

from __future__ import annotations

import re
from collections import Counter

from localcloud.kernel.cloud import Cloud
from localcloud.sagemaker.api import (
    Fields,
    RefusedError,
    answer,
    arn,
    existing,
    in_milliseconds,
    invalid,
    new_fields,
    page,
    records,
    serve_tags,
)


def _identity_of(caller: str) -> Fields:
    """Who made or changed a group or a package, as Describe shows it; `caller` is an ARN."""
    return {"IamIdentity": {"Arn": caller, "PrincipalId": caller.rpartition("/")[2]}}


class Versions(Counter[str]):
    """The highest version that each group ever had, by the group's name.

    So the version of a deleted package is not given again."""


def serve_registry(cloud: Cloud) -> None:
    """Answer the operations on groups, packages and their tags."""
    serve_tags(cloud)
    _install_groups(cloud)
    _install_packages(cloud)


def _name(given: str) -> str:
    """The name of a group; `given` is its name or its ARN."""
    return given.rpartition("/")[2] if given.startswith("arn:") else given


def _group(cloud: Cloud, given: str) -> Fields:
    kind, name = "model-package-group", _name(given)
    return existing(cloud, kind, name, f"ModelPackageGroup {arn(cloud, kind, name)} does not exist.")


def policy_of(cloud: Cloud, group: str) -> str:
    """The policy of the group itself, as JSON text; empty if it has none."""
    return str(records(cloud).of("model-package-group-policy").get(group, {}).get("ResourcePolicy", ""))


def _install_groups(cloud: Cloud) -> None:
    store, policies = records(cloud).of("model-package-group"), records(cloud).of("model-package-group-policy")

    def create(request: Fields, caller: str) -> Fields:
        name = request["ModelPackageGroupName"]
        group_arn = arn(cloud, "model-package-group", name, caller.split(":")[4])
        if name in store:
            raise invalid(f"Model Package Group already exists: {group_arn}")
        own = {"CreatedBy": _identity_of(caller), "ModelPackageGroupStatus": "Completed"}
        store[name] = new_fields(cloud, request, "ModelPackageGroupArn", group_arn) | own
        return {"ModelPackageGroupArn": group_arn}

    def put_policy(request: Fields) -> Fields:
        group = _group(cloud, request["ModelPackageGroupName"])
        policies[group["ModelPackageGroupName"]] = request
        return {"ModelPackageGroupArn": group["ModelPackageGroupArn"]}

    def get_policy(request: Fields) -> Fields:
        if not (policy := policy_of(cloud, request["ModelPackageGroupName"])):
            raise invalid(f"Cannot find resource policy for {request['ModelPackageGroupName']}.")
        return {"ResourcePolicy": policy}

    def delete_policy(request: Fields) -> Fields:
        policies.pop(_group(cloud, request["ModelPackageGroupName"])["ModelPackageGroupName"], None)
        return {}

    def delete(request: Fields) -> Fields:
        group = _group(cloud, request["ModelPackageGroupName"])
        if any(one.get("ModelPackageGroupName") == group["ModelPackageGroupName"] for one in _packages(cloud)):
            raise RefusedError(
                "ConflictException", "Model Package Group cannot be deleted because it contains packages."
            )
        del store[group["ModelPackageGroupName"]]
        policies.pop(group["ModelPackageGroupName"], None)
        cloud.part(Versions).pop(group["ModelPackageGroupName"], None)
        return {}

    def listed(request: Fields) -> Fields:
        rows = [{**one, "Name": one["ModelPackageGroupName"], "Status": "Completed"} for one in list(store.values())]
        return page(rows, request, "ModelPackageGroupSummaryList")

    answer("CreateModelPackageGroup", create, tells_caller=True)
    answer("DescribeModelPackageGroup", lambda request: _group(cloud, request["ModelPackageGroupName"]))
    answer("DeleteModelPackageGroup", delete)
    answer("ListModelPackageGroups", listed)
    answer("PutModelPackageGroupPolicy", put_policy)
    answer("GetModelPackageGroupPolicy", get_policy)
    answer("DeleteModelPackageGroupPolicy", delete_policy)


def _packages(cloud: Cloud) -> list[Fields]:
    return list(records(cloud).of("model-package").values())


def _package(cloud: Cloud, given: str) -> Fields:
    """The package with this ARN. Raises RefusedError if there is none."""
    return existing(cloud, "model-package", given, f"ModelPackage {given} does not exist.")


def _install_packages(cloud: Cloud) -> None:
    def delete(request: Fields) -> Fields:
        package = _package(cloud, request["ModelPackageName"])
        del records(cloud).of("model-package")[package["ModelPackageArn"]]
        _put_event(cloud, {**package, "ModelPackageStatus": "Deleted"})
        return {}

    answer("CreateModelPackage", lambda request, caller: _create(cloud, request, caller), tells_caller=True)
    answer("DescribeModelPackage", lambda request: _package(cloud, request["ModelPackageName"]))
    answer("UpdateModelPackage", lambda request, caller: _update(cloud, request, caller), tells_caller=True)
    answer("DeleteModelPackage", delete)
    answer("ListModelPackages", lambda request: _listed(cloud, request))


_NOT_COVERED = {
    *("ValidationSpecification", "SourceAlgorithmSpecification", "CustomerMetadataPropertiesToRemove"),
    *("AdditionalInferenceSpecifications", "AdditionalInferenceSpecificationsToAdd", "ModelPackageName"),
}


def _refuse(request: Fields) -> None:
    if lacking := sorted(_NOT_COVERED & request.keys()):
        raise invalid(f"the local cloud does not cover {', '.join(lacking)}")


def _create(cloud: Cloud, request: Fields, caller: str) -> Fields:
    _refuse(request)
    identity, package_arn = _identity(cloud, request, caller.split(":")[4])
    fields: Fields = {
        "ModelApprovalStatus": "PendingManualApproval",
        **new_fields(cloud, request, "ModelPackageArn", package_arn),
        **identity,
        "CreatedBy": _identity_of(caller),
        "ModelPackageStatus": "Completed",
        "ModelPackageStatusDetails": {"ValidationStatuses": [], "ImageScanStatuses": []},
    }
    _resolve_images(fields.get("InferenceSpecification", {}))
    records(cloud).of("model-package")[package_arn] = fields
    _put_event(cloud, fields)
    return {"ModelPackageArn": package_arn}


def _identity(cloud: Cloud, request: Fields, account: str) -> tuple[Fields, str]:
    """What tells a new package from the others, as members of the resource, and its ARN.

    A new version of the group `g` has `{"ModelPackageGroupName": "g", "ModelPackageVersion": 3}`. Raises RefusedError
    if the request names no group, or one that does not exist."""
    if "ModelPackageGroupName" not in request:
        raise invalid("expected a ModelPackageGroupName")
    group = _group(cloud, request["ModelPackageGroupName"])["ModelPackageGroupName"]
    versions = cloud.part(Versions)
    with records(cloud).lock:
        versions[group] += 1
        version = versions[group]
    identity = {"ModelPackageGroupName": group, "ModelPackageVersion": version}
    return identity, arn(cloud, "model-package", f"{group}/{version}", account)


def _resolve_images(specification: Fields) -> None:
    """Add `ImageDigest` to each container whose image URI ends with a digest (`@sha256:…`), as SageMaker does."""
    for container in specification.get("Containers", []):
        found = re.search(r"@(sha256:[0-9a-f]{64})$", container.get("Image", ""))
        if found and "ImageDigest" not in container:
            container["ImageDigest"] = found[1]


_REPLACED = (
    "ModelApprovalStatus",
    "ModelPackageRegistrationType",
    "ApprovalDescription",
    "InferenceSpecification",
    "SourceUri",
    "ModelCard",
    "ModelLifeCycle",
)
"""Members that an update replaces whole. Those that the update does not name stay as they are."""


def _update(cloud: Cloud, request: Fields, caller: str) -> Fields:
    _refuse(request)
    package = _package(cloud, request["ModelPackageArn"])
    with records(cloud).lock:
        package |= {key: request[key] for key in _REPLACED if key in request}
        # Metadata properties are merged key by key.
        properties = {**package.get("CustomerMetadataProperties", {}), **request.get("CustomerMetadataProperties", {})}
        package["CustomerMetadataProperties"] = properties
        package |= {"LastModifiedTime": cloud.clock.now(), "LastModifiedBy": _identity_of(caller)}
        _resolve_images(package.get("InferenceSpecification", {}))
    # The event says that the state has changed, and only these two members belong to the state.
    if {"ModelApprovalStatus", "ModelLifeCycle"} & set(request):
        _put_event(cloud, package)
    return {"ModelPackageArn": package["ModelPackageArn"]}


def _listed(cloud: Cloud, request: Fields) -> Fields:
    if "ModelPackageGroupName" not in request or request.get("ModelPackageType", "Versioned") != "Versioned":
        raise invalid("the local cloud lists the versions of one group: expected a ModelPackageGroupName")
    group = _group(cloud, request["ModelPackageGroupName"])["ModelPackageGroupName"]
    found = [
        {**one, "Name": group, "Status": one["ModelPackageStatus"]}
        for one in _packages(cloud)
        if one["ModelPackageGroupName"] == group
        and request.get("ModelApprovalStatus", one["ModelApprovalStatus"]) == one["ModelApprovalStatus"]
    ]
    # `page` sorts by time, and leaves resources of equal time in their order. So versions that were made within one
    # tick of the clock come in order too.
    found.sort(key=lambda one: one["ModelPackageVersion"], reverse=request.get("SortOrder") != "Ascending")
    return page(found, request, "ModelPackageSummaryList")


def _put_event(cloud: Cloud, package: Fields) -> None:
    cloud.emit(
        "aws.sagemaker",
        "SageMaker Model Package State Change",
        in_milliseconds(package),
        resources=[package["ModelPackageArn"]],
    )
