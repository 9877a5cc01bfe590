"""Amazon SageMaker Runtime: InvokeEndpoint.

AWS does: choose a variant by the weights, send the request to one of its instances, and report metrics.
moto does: answer a fixed text.
We do: send the request by HTTP to a process that serves, and report the metrics.
Weaker: no asynchronous invocations, no response streams.
"""

from localcloud.kernel.cloud import Cloud
from localcloud.sagemaker_runtime.invocations import serve_invocations


def install(cloud: Cloud) -> None:
    serve_invocations(cloud)
