"""The OpenAPI documents by which APIs answer, and the policies in them of who may call."""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import deepcopy
from importlib import import_module
from typing import Any

from localcloud.apigateway.request import EXTENSION
from localcloud.kernel.cloud import ACCOUNT, Cloud, moto_backend
from localcloud.kernel.patching import replace

Document = Mapping[str, Any]


class Documents:
    """The documents by API, and by API and deployment.

    A stage answers by the document of its deployment, so an import changes nothing until it is deployed. moto keeps
    neither validators nor schemas nor gateway responses. May go when it does."""

    def __init__(self) -> None:
        self.imported: dict[str, Document] = {}
        self.deployed: dict[tuple[str, str], Document] = {}


ENDPOINTS = "/endpointConfiguration/vpcEndpointIds"


def keep_documents(cloud: Cloud) -> None:
    from moto.apigateway.exceptions import BadRequestException

    kept = cloud.part(Documents)
    backend: Any = import_module("moto.apigateway.models").APIGatewayBackend
    put, update, deploy = backend.put_rest_api, backend.update_rest_api, backend.create_deployment

    def put_rest_api(self: Any, function_id: str, api_doc: dict[str, Any], *given: Any, **named: Any) -> Any:
        kept.imported[function_id] = deepcopy(api_doc)
        return put(self, function_id, api_doc, *given, **named)

    def update_rest_api(self: Any, function_id: str, patch_operations: list[dict[str, str]]) -> Any:
        # moto takes every patch of an endpoint configuration for one of its type.
        api = update(self, function_id, [one for one in patch_operations if one["path"] != ENDPOINTS])
        named = [(one["op"], one["value"]) for one in patch_operations if one["path"] == ENDPOINTS]
        others = {one for one in api.endpoint_configuration.get("vpcEndpointIds", ()) if ("remove", one) not in named}
        endpoints = sorted(others | {one for verb, one in named if verb == "add"})
        if endpoints and not is_private(api):
            # https://github.com/clouddrove/terraform-aws-api-gateway/pull/28
            raise BadRequestException("VPCEndpoints can only be specified with PRIVATE apis.")
        api.endpoint_configuration["vpcEndpointIds"] = endpoints
        return api

    def create_deployment(self: Any, function_id: str, *given: Any, **named: Any) -> Any:
        if is_private(self.apis[function_id]) and POLICY not in kept.imported.get(function_id, {}):
            raise BadRequestException("Private REST API doesn't have a resource policy attached to it")
        deployment = deploy(self, function_id, *given, **named)
        kept.deployed[function_id, deployment.id] = kept.imported.get(function_id, {})
        return deployment

    replace(backend, put_rest_api=put_rest_api, update_rest_api=update_rest_api, create_deployment=create_deployment)


def is_private(api: Any) -> bool:
    # moto keeps the form in which it came: CloudFormation's or that of the API.
    return "PRIVATE" in str(api.endpoint_configuration)


def deployed_document(cloud: Cloud, api: str, stage: str) -> tuple[Any, Document] | None:
    """moto's stage and the document by which it answers; None if there is no such stage."""
    known = moto_backend("apigateway", cloud.region).apis.get(api)
    found = known.stages.get(stage) if known else None
    if found is None:
        return None
    return found, cloud.part(Documents).deployed.get((api, found.deployment_id), {})


POLICY = f"{EXTENSION}policy"


def policy_of_stage(cloud: Cloud, api: str, stage: str) -> Document | None:
    """The policy of who may call the API by this stage, with whole ARNs; None for an API without one.

    `execute-api:/…` is short for the API's own ARN.
    https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-resource-policies-create-attach.html"""
    _, document = deployed_document(cloud, api, stage) or (None, {})
    own = f'"arn:aws:execute-api:{cloud.region}:{ACCOUNT}:{api}/'
    whole: Document | None = json.loads(json.dumps(document.get(POLICY)).replace('"execute-api:/', own))
    return whole
