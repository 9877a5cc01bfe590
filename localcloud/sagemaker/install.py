"""Amazon SageMaker: jobs, models, endpoints and the model registry.

AWS does: run images by the container's contract; boot instances, shift traffic, watch alarms; keep versions of models.
moto does: answer `Completed` and `InService` at once, and run nothing.
We do: run what the Dockerfile copies, as processes without network and credentials. Endpoints answer by HTTP.
Weaker: only training has several instances, all on this machine. Tuning draws at random. Refused by name: serverless,
    asynchronous and shadow variants, and models of several containers (inference pipelines).
"""

from functools import partial

from localcloud.kernel.cloud import Cloud
from localcloud.sagemaker.endpoints import endpoints
from localcloud.sagemaker.jobs import jobs, tuning
from localcloud.sagemaker.registry import serve_registry


def install(cloud: Cloud) -> None:
    jobs.serve_jobs(cloud)
    cloud.pending.append(partial(jobs.pending, cloud))
    tuning.serve_tuning(cloud)
    cloud.pending.append(partial(tuning.pending, cloud))
    endpoints.serve_endpoints(cloud)
    cloud.pending.append(partial(endpoints.pending, cloud))
    serve_registry(cloud)
