"""SageMaker models: what an endpoint or a batch transform serves, and its artefact on this machine.

AWS keeps image, artefact and role under a name. moto drops EnableNetworkIsolation and the package reference.
Not covered and refused by name: several containers (pipelines), ModelDataSource prefixes.
"""

from __future__ import annotations

import hashlib
import shutil
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from infra.local.kernel.cloud import Cloud
from infra.local.sagemaker.api import Fields, answer, arn, check_role, invalid, page, records, tag
from infra.local.sagemaker.channels import MoveError, s3_of, split, unpack


@dataclass(frozen=True, kw_only=True)
class Served:
    """One container of a model, ready to be started."""

    image: str
    data_url: str | None
    environment: Mapping[str, str]
    role_arn: str


@dataclass(kw_only=True)
class Artefacts:
    """Model archives that are unpacked on this machine, by what they hold."""

    locks: dict[str, threading.Lock] = field(default_factory=dict)


def serve_models(cloud: Cloud) -> None:
    """Serve Create, Describe, List and Delete of models."""
    store = records(cloud).of("model")

    def create(request: Fields) -> Fields:
        name, model_arn = request["ModelName"], arn(cloud, "model", request["ModelName"])
        if name in store:
            raise invalid(f'Cannot create already existing model "{model_arn}".')
        _check(request)
        check_role(request["ExecutionRoleArn"])
        given = {key: value for key, value in request.items() if key != "Tags"}
        store[name] = {"EnableNetworkIsolation": False, **given, "ModelArn": model_arn}
        store[name]["CreationTime"] = cloud.clock.now()
        tag(cloud, model_arn, request.get("Tags", []))
        served(cloud, name)
        return {"ModelArn": model_arn}

    def find(request: Fields) -> Fields:
        return model(cloud, request["ModelName"])

    def delete(request: Fields) -> Fields:
        find(request)
        del store[request["ModelName"]]
        return {}

    def listed(request: Fields) -> Fields:
        return page([{**one, "Name": one["ModelName"], "Status": ""} for one in store.values()], request, "Models")

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
    found = records(cloud).of("model").get(name)
    if found is None:
        raise invalid(f'Could not find model "{arn(cloud, "model", name)}".')
    return found


def served(cloud: Cloud, name: str) -> Served:
    """What the model `name` serves; a package reference is followed."""
    fields = model(cloud, name)
    container = fields.get("PrimaryContainer") or fields["Containers"][0]
    environment = container.get("Environment", {})
    if "ModelPackageName" in container:
        package = records(cloud).of("model-package").get(container["ModelPackageName"])
        if package is None:
            raise invalid(f"Model package {container['ModelPackageName']} does not exist")
        container = package["InferenceSpecification"]["Containers"][0]
        environment = {**container.get("Environment", {}), **environment}
    return Served(
        image=container["Image"],
        data_url=container.get("ModelDataUrl"),
        environment=environment,
        role_arn=fields["ExecutionRoleArn"],
    )


def artefact(cloud: Cloud, one: Served) -> Path:
    """The folder for `/opt/ml/model`, unpacked once per content with the model's role."""
    folder = cloud.workspace / "models"
    if one.data_url is None:
        empty = folder / "none"
        empty.mkdir(parents=True, exist_ok=True)
        return empty
    s3 = s3_of(cloud, one.role_arn)
    bucket, key = split(one.data_url)
    try:
        # Named by address and ETag, so that an object that was overwritten in place is unpacked anew. The variants of
        # an endpoint boot side by side and want the same archive: one unpacks it, the others wait at its lock.
        etag = s3.head_object(Bucket=bucket, Key=key)["ETag"]
        target = folder / hashlib.sha256(f"{one.data_url}{etag}".encode()).hexdigest()[:24]
        locks = cloud.part(Artefacts).locks
        with locks.setdefault(target.name, threading.Lock()):
            if not target.exists():
                _fetch(s3, bucket, key, target)
    except ClientError as error:
        raise MoveError(f"Failed to download model data for {one.data_url}: {error}") from error
    return target


def _fetch(s3: Any, bucket: str, key: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    archive, partial = target.with_suffix(".tar.gz"), target.with_suffix(".part")
    shutil.rmtree(partial, ignore_errors=True)
    with archive.open("wb") as file:
        for chunk in s3.get_object(Bucket=bucket, Key=key)["Body"].iter_chunks(1 << 20):
            file.write(chunk)
    unpack(archive, partial)
    archive.unlink()
    partial.rename(target)
