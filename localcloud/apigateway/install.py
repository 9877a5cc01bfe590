"""Amazon API Gateway: REST APIs that are imported from an OpenAPI document.

AWS does: check a request's signature, right and form, call the integration, write the access log, throttle.
moto does: keep APIs, deployments and stages. It answers no request of an API.
We do: answer under `/_aws/execute-api/<api>/<stage>/<path>`: signature, right, validation, Lambda proxy, access log.
Weaker: only Lambda proxies, signed or open; no throttling, keys, caches, authorizers, domains, mappings.
"""

from localcloud.apigateway.documents import keep_documents
from localcloud.apigateway.gateway import answer_requests
from localcloud.kernel.cloud import Cloud


def install(cloud: Cloud) -> None:
    keep_documents(cloud)
    answer_requests(cloud)
