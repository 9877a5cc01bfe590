"""Amazon SageMaker Runtime: InvokeEndpoint.

AWS does: send the request to an instance of a variant by the variants' weights, and report metrics.
moto does: answer static text.
We do: send it to a serving process by HTTP.
Weaker: no asynchronous invocations, no response streams.
"""

from infra.local.kernel.cloud import Cloud
from infra.local.sagemaker_runtime.invocations import serve_invocations


def install(cloud: Cloud) -> None:
    serve_invocations(cloud)
