"""SageMaker models: what an endpoint or a batch transform serves, and its artefact on this machine.

AWS keeps image, artefact and role under a name. moto drops EnableNetworkIsolation and the reference to a model package.
Refused by name, as not covered: several containers (inference pipelines), and ModelDataSource.
"""

from __future__ import annotations

import hashlib
import shutil
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from localcloud.kernel.cloud import Cloud
from localcloud.sagemaker.api import Fields, answer, arn, check_role, existing, invalid, new_fields, page, records
from localcloud.sagemaker.channels import MoveError, fetch, s3_of, split, unpack


@dataclass(frozen=True, kw_only=True)
class Served:
    """What the one container of a model is started with."""

    image: str
    """The URI of the image."""
    data_url: str | None
    """The `s3://` address of the model's archive; None for a model without one."""
    environment: Mapping[str, str]
    role_arn: str


class Locks(dict[str, threading.Lock]):
    """A lock for each model archive, by the name of the folder in which it is unpacked.

    That name depends on the archive's address and ETag."""


def serve_models(cloud: Cloud) -> None:
    """Answer Create, Describe, List and Delete of models."""
    store = records(cloud).of("model")

    def create(request: Fields) -> Fields:
        name, model_arn = request["ModelName"], arn(cloud, "model", request["ModelName"])
        if name in store:
            raise invalid(f'Cannot create already existing model "{model_arn}".')
        _check(request)
        check_role(request["ExecutionRoleArn"])
        _served(cloud, request)  # raises for a model package that does not exist
        store[name] = {"EnableNetworkIsolation": False, **new_fields(cloud, request, "ModelArn", model_arn)}
        return {"ModelArn": model_arn}

    def find(request: Fields) -> Fields:
        return model(cloud, request["ModelName"])

    def delete(request: Fields) -> Fields:
        find(request)
        del store[request["ModelName"]]
        return {}

    def listed(request: Fields) -> Fields:
        return page([{**one, "Name": one["ModelName"], "Status": ""} for one in [*store.values()]], request, "Models")

    answer("CreateModel", create)
    answer("DescribeModel", find)
    answer("DeleteModel", delete)
    answer("ListModels", listed)


def _check(request: Fields) -> None:
    containers = request.get("Containers", [])
    if len(containers) > 1 or (containers and "PrimaryContainer" in request):
        raise invalid("the local cloud does not cover models of several containers")
    container = request.get("PrimaryContainer") or (containers or [None])[0]
    if container is None:
        raise invalid("expected a PrimaryContainer")
    if "ModelDataSource" in container:
        raise invalid("the local cloud does not cover ModelDataSource; use ModelDataUrl")
    if "ExecutionRoleArn" not in request:
        raise invalid("expected an ExecutionRoleArn")


def model(cloud: Cloud, name: str) -> Fields:
    """The model as Describe answers it. Raises RefusedError if there is none of this name."""
    return existing(cloud, "model", name, f'Could not find model "{arn(cloud, "model", name)}".')


def served(cloud: Cloud, name: str) -> Served:
    """What the model `name` serves. Raises RefusedError if the model, or the package that it names, does not exist.

    A model that names a model package has the package's image and archive. Its own environment variables override
    those of the package."""
    return _served(cloud, model(cloud, name))


def _served(cloud: Cloud, fields: Fields) -> Served:
    container = fields.get("PrimaryContainer") or fields["Containers"][0]
    environment = container.get("Environment", {})
    if "ModelPackageName" in container:
        name = container["ModelPackageName"]
        package = existing(cloud, "model-package", name, f"Model package {name} does not exist")
        status = package.get("ModelApprovalStatus")
        if status in ("PendingManualApproval", "Rejected"):
            raise invalid(f"Model package {container['ModelPackageName']} is {status}, expected Approved")
        container = package["InferenceSpecification"]["Containers"][0]
        environment = {**container.get("Environment", {}), **environment}
    if "Image" not in container:
        raise invalid("Expected Image or ModelPackageName in the container, got neither")
    return Served(
        image=container["Image"],
        data_url=container.get("ModelDataUrl"),
        environment=environment,
        role_arn=fields["ExecutionRoleArn"],
    )


def artefact(cloud: Cloud, one: Served) -> Path:
    """The folder that stands for `/opt/ml/model`: the model's archive, unpacked once for each content.

    It is read by the permissions of the model's role. A model without an archive gets an empty folder. Raises
    MoveError if the archive cannot be downloaded or unpacked."""
    folder = cloud.workspace / "models"
    if one.data_url is None:
        empty = folder / "none"
        empty.mkdir(parents=True, exist_ok=True)
        return empty
    s3 = s3_of(cloud, one.role_arn)
    bucket, key = split(one.data_url)
    try:
        # Address and ETag make the folder's name, so an object that was overwritten in place is unpacked anew. The
        # variants of an endpoint boot side by side and want the same archive: one unpacks it, the others wait at its
        # lock.
        etag = s3.head_object(Bucket=bucket, Key=key)["ETag"]
        target = folder / hashlib.sha256(f"{one.data_url}{etag}".encode()).hexdigest()[:24]
        locks = cloud.part(Locks)
        with locks.setdefault(target.name, threading.Lock()):
            if not target.exists():
                _unpack(s3, (bucket, key), target)
    except ClientError as error:
        raise MoveError(f"Failed to download model data for {one.data_url}: {error}") from error
    return target


def _unpack(s3: Any, source: tuple[str, str], target: Path) -> None:
    # Unpacked under another name and renamed at the end: a folder with the final name is always complete.
    archive, partial = target.with_suffix(".tar.gz"), target.with_suffix(".part")
    shutil.rmtree(partial, ignore_errors=True)
    fetch(s3, source, archive)
    unpack(archive, partial)
    archive.unlink()
    partial.rename(target)
