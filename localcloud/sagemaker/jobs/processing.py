"""Runs a processing job as SageMaker does: inputs below /opt/ml/processing, outputs uploaded at the end.

Contract: https://docs.aws.amazon.com/sagemaker/latest/dg/build-your-own-processing-container.html
Refused by name, as not covered: several instances, preference lists of instances, dataset definitions, feature store
outputs. Outputs with continuous upload are uploaded at the end too.
"""

from __future__ import annotations

import json
from typing import Any

from localcloud.kernel.cloud import Cloud
from localcloud.sagemaker.api import Fields, invalid
from localcloud.sagemaker.channels import download, s3_of, upload
from localcloud.sagemaker.containers import images, without_network
from localcloud.sagemaker.endpoints.serving import free_port
from localcloud.sagemaker.jobs.job import Job, JobError
from localcloud.sagemaker.jobs.training import inside

_DAY_S = 86_400.0


def prepare(_: Cloud, request: Fields) -> tuple[str, float]:
    """Role ARN and time limit in seconds. Raises RefusedError for what is not covered."""
    cluster = request["ProcessingResources"]["ClusterConfig"]
    if cluster.get("InstancePreferences") or int(cluster["InstanceCount"]) != 1:
        raise invalid("the local cloud covers processing on one instance, of one InstanceType")
    if any("S3Input" not in one for one in request.get("ProcessingInputs", [])):
        raise invalid("the local cloud covers ProcessingInputs with S3Input only")
    for one in _outputs(request):
        if "S3Output" not in one:
            raise invalid("the local cloud covers ProcessingOutputs with S3Output only")
    limit_s = request.get("StoppingCondition", {}).get("MaxRuntimeInSeconds", _DAY_S)
    return request["RoleArn"], float(limit_s)


def _outputs(request: Fields) -> list[Fields]:
    outputs: list[Fields] = request.get("ProcessingOutputConfig", {}).get("Outputs", [])
    return outputs


def run(job: Job) -> None:
    """Run the job to its end. The outputs are uploaded also if it fails or is stopped.

    Raises JobError if the container fails, MoveError if files cannot be moved."""
    # Configuration and inputs in, the container's run, then outputs and the container's message out.
    request = job.fields
    application = request["AppSpecification"]
    image = images(job.cloud).find(application["ImageUri"])
    s3 = s3_of(job.cloud, job.role_arn)
    _write_configuration(job)
    for one in request.get("ProcessingInputs", []):
        download(s3, one["S3Input"], inside(job.root, one["S3Input"]["LocalPath"]))
    job.check_volume(job.root)
    for one in _outputs(request):
        inside(job.root, one["S3Output"]["LocalPath"]).mkdir(parents=True, exist_ok=True)
    arguments = image.arguments(
        entrypoint=application.get("ContainerEntrypoint", ()), command=application.get("ContainerArguments", ())
    )
    given = {**_serving_variables(), **request.get("Environment", {}), "PROCESSING_JOB_NAME": job.name}
    code = job.execute(image, arguments, given)
    kms_key = request.get("ProcessingOutputConfig", {}).get("KmsKeyId")
    for one in _outputs(request):
        upload(s3, inside(job.root, one["S3Output"]["LocalPath"]), one["S3Output"]["S3Uri"], kms_key=kms_key)
    message = job.root / "output" / "message"
    if message.exists():
        job.fields["ExitMessage"] = message.read_text(errors="replace")[:1024]
    if code != 0 and not job.stop.is_set():
        message = job.fields.get("ExitMessage", "See job logs for more information")
        raise JobError(f"AlgorithmError: {message}, exit code: {code}")


def _serving_variables() -> dict[str, str]:
    """The variables of a serving container, for a job that starts one itself. `endpoints.serving` sets the same ones.

    One process is one instance. In a network of its own the container's port is free. In the host's network it may be
    taken: then the container gets a port that is free now."""
    port = {} if without_network() else {"SAGEMAKER_BIND_TO_PORT": str(free_port())}
    return {"MILLRACE_BIND": "127.0.0.1", "MILLRACE_WORKERS": "1", **port}


def _write_configuration(job: Job) -> None:
    folder = job.root / "config"
    folder.mkdir(parents=True)
    files: dict[str, Any] = {
        "processingjobconfig.json": {
            key: value for key, value in job.fields.items() if not key.endswith(("Time", "Status"))
        },
        "resourceconfig.json": {"current_host": "algo-1", "hosts": ["algo-1"]},
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content))
