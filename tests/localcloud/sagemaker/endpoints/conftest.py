"""Models, configurations and endpoints of the tiny image, for the tests of this folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.archives import tarred
from tests.localcloud import tiny_images
from tests.localcloud.sagemaker.endpoints.reading import settled


@pytest.fixture
def config(sagemaker: Any, client: Any, bucket: str, role: str, fresh: Callable[..., str]) -> Callable[..., str]:
    """An endpoint configuration whose variant serves a model that tells its version."""

    def make(version: str = "1", *, environment: dict[str, str] | None = None) -> str:
        model, name = fresh("model"), fresh("config")
        client("s3").put_object(Bucket=bucket, Key=f"{model}.tar.gz", Body=tarred({"version.txt": version.encode()}))
        sagemaker.create_model(
            ModelName=model,
            ExecutionRoleArn=role,
            PrimaryContainer={
                "Image": tiny_images.uri("serve"),
                "ModelDataUrl": f"s3://{bucket}/{model}.tar.gz",
                "Environment": environment or {},
            },
        )
        variant = {"VariantName": "main", "ModelName": model, "InstanceType": "ml.c7i.large"}
        sagemaker.create_endpoint_config(
            EndpointConfigName=name, ProductionVariants=[{**variant, "InitialInstanceCount": 1}]
        )
        return name

    return make


@pytest.fixture
def endpoint(sagemaker: Any, fresh: Callable[..., str]) -> Callable[[str], str]:
    """The name of an endpoint in service."""

    def make(config: str) -> str:
        name = fresh("endpoint")
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config)
        assert settled(sagemaker, name)["EndpointStatus"] == "InService"
        return name

    return make


@pytest.fixture
def call(client: Any) -> Callable[..., dict[str, Any]]:
    """What the model tells of one request."""

    def invoke(name: str, body: bytes = b"{}", **more: Any) -> dict[str, Any]:
        answer = client("sagemaker-runtime").invoke_endpoint(EndpointName=name, Body=body, **more)
        told: dict[str, Any] = json.loads(answer["Body"].read())
        return {**told, "answer": answer}

    return invoke
