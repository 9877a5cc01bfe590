"""Keeps the OpenAPI document of each API, and with each deployment the document as it was then.

A stage answers by the document of its deployment, so an import changes nothing until it is deployed. moto keeps neither
validators nor schemas nor gateway responses. May go when it does."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from importlib import import_module
from typing import Any

from localcloud.kernel.cloud import ACCOUNT, Cloud
from localcloud.kernel.patching import replace

Document = Mapping[str, Any]


class Documents:
    """The documents by API, and by API and deployment."""

    def __init__(self) -> None:
        self.imported: dict[str, Document] = {}
        self.deployed: dict[tuple[str, str], Document] = {}


def keep_documents(cloud: Cloud) -> None:
    kept = cloud.part(Documents)
    backend: Any = import_module("moto.apigateway.models").APIGatewayBackend
    put, deploy = backend.put_rest_api, backend.create_deployment

    def put_rest_api(self: Any, function_id: str, api_doc: dict[str, Any], *given: Any, **named: Any) -> Any:
        kept.imported[function_id] = deepcopy(api_doc)
        return put(self, function_id, api_doc, *given, **named)

    def create_deployment(self: Any, function_id: str, *given: Any, **named: Any) -> Any:
        deployment = deploy(self, function_id, *given, **named)
        kept.deployed[function_id, deployment.id] = kept.imported.get(function_id, {})
        return deployment

    replace(backend, put_rest_api=put_rest_api, create_deployment=create_deployment)


def deployed_document(cloud: Cloud, api: str, stage: str) -> tuple[Any, Document] | None:
    """moto's stage and the document by which it answers; None if there is no such stage."""
    models: Any = import_module("moto.apigateway.models")
    known = models.apigateway_backends[ACCOUNT][cloud.region].apis.get(api)
    found = known.stages.get(stage) if known else None
    if found is None:
        return None
    return found, cloud.part(Documents).deployed.get((api, found.deployment_id), {})
