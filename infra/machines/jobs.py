"""SageMaker's jobs as tasks that wait for their end: training, processing, batch transform.

All jobs run without network, in the VPC and under the customer key. A retry or a redrive never uses a name twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from millrace.artefact.artefact import ARCHIVE
from millrace.datasets.volume import LEAST_GB
from millrace.infra.context import Context
from millrace.infra.instances import has_own_disk
from millrace.infra.machines import states
from millrace.infra.machines.states import State
from millrace.messages.training_job import (
    CONFIG_CHANNEL,
    DATA_CHANNEL,
    PRETRAINED_CHANNEL,
    TRAINING_METRICS,
    WEIGHTS_CHANNEL,
    pattern,
)
from millrace.names import JOB_ROLE

SERVICE_ERROR = "SageMaker.AmazonSageMakerException"
"""The call itself failed. Errors that the API's model does not name, such as throttling, have this name:
https://github.com/aws/aws-step-functions-data-science-sdk-python/pull/162

A job that ran and failed is another case. Only a training is then started again by itself, once, since it goes on from
its last checkpoint if there is one. All other jobs need a redrive."""
STOPPED = "Job stopped"
"""The state that ends an execution whose job has not completed, and the error's name.

Whether `.sync` ends a task as failed if its job ends as `Stopped` is documented nowhere, so a Choice follows each job.
https://docs.aws.amazon.com/sagemaker/latest/dg/model-managed-spot-training-status.html"""
QUOTA_ERROR = "SageMaker.ResourceLimitExceededException"
"""Other jobs use all instances of the type that the account may use at once, or the account may use none.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateTrainingJob.html#API_CreateTrainingJob_Errors"""
QUOTA_POLL_S, QUOTA_POLLS = 300, 12
"""Seconds between two tries and their number: half an hour on average, an hour at most, as most jobs end sooner.

After that the task fails. An account that may use no such instance learns of it only then."""


def retried() -> list[State]:
    """The retriers of every task that starts a job. If several jobs share one instance, the others wait for it."""
    return [
        states.retry(SERVICE_ERROR, interval_s=15, attempts=4),
        states.retry(QUOTA_ERROR, interval_s=QUOTA_POLL_S, attempts=QUOTA_POLLS, rate=1.0),
    ]


def run_uri(context: Context, *parts: str) -> str:
    """The intrinsic function for `s3://<artefacts>/<workload>/runs/<this execution>/<parts>`."""
    return f"States.Format('{context.names.run_uri('{}', *parts)}', $$.Execution.Name)"


def vpc(context: Context) -> dict[str, Any]:
    return {"SecurityGroupIds": [context.security_group_id], "Subnets": list(context.subnet_ids)}


def tags(context: Context) -> list[dict[str, str]]:
    """The tags of what a machine makes: those of its stack. CloudFormation only tags what is in a template."""
    return [{"Key": key, "Value": value} for key, value in context.tags.items()]


def instance(context: Context) -> str:
    """The declared instance type of the live fleet and of the challenger, and of each job that is no training."""
    return context.workload.rollout.instance[context.platform.stage]


def cluster(context: Context, instance: str, *, count: int, volume_gb: str) -> dict[str, Any]:
    """Instances with volumes of so many GB as the path `volume_gb` says, or with disks of their own."""
    size: dict[str, Any] = {"VolumeSizeInGB.$": volume_gb}
    if has_own_disk(instance) or not volume_gb:
        size = {"VolumeSizeInGB": LEAST_GB}
    return {"InstanceCount": count, **size, **instances(instance, context.key_arn)}


def instances(instance: str, key_arn: str) -> dict[str, Any]:
    """Instances with volumes under the customer key, if the family takes a key."""
    key = {} if has_own_disk(instance) else {"VolumeKmsKeyId": key_arn}
    return {"InstanceType": instance, **key}


def channel(name: str, uri: str, *, manifest: bool = False) -> dict[str, Any]:
    """One input of a training job. `uri` is an intrinsic function, or of an input that is the same in every run a URI.

    With `manifest` the object there is a manifest of the input's objects, else the URI is a prefix."""
    kind, key = "ManifestFile" if manifest else "S3Prefix", "S3Uri" if uri.startswith("s3://") else "S3Uri.$"
    source = {"S3DataType": kind, key: uri, "S3DataDistributionType": "FullyReplicated"}
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}, "InputMode": "File"}


def given(name: str, uri: str, *, manifest: bool = False) -> dict[str, Any]:
    """One input of a processing job, at /opt/ml/processing/<name>. `uri` is an intrinsic function or a path."""
    return {
        "InputName": name,
        "S3Input": {
            "S3Uri.$": uri,
            "LocalPath": f"/opt/ml/processing/{name}",
            "S3DataType": "ManifestFile" if manifest else "S3Prefix",
            "S3InputMode": "File",
            "S3DataDistributionType": "FullyReplicated",
        },
    }


def made(name: str, uri: str) -> dict[str, Any]:
    """One output of a processing job, from /opt/ml/processing/<name>, which is uploaded at the end of the job."""
    output = {"S3Uri.$": uri, "LocalPath": f"/opt/ml/processing/{name}", "S3UploadMode": "EndOfJob"}
    return {"OutputName": name, "S3Output": output}


def processing(
    context: Context,
    state: str,
    *,
    comment: str,
    module: str,
    inputs: Sequence[Mapping[str, Any]],
    outputs: Sequence[Mapping[str, Any]],
    minutes: int,
    result: str,
    next_state: str,
    environment: Mapping[str, str] | None = None,
    name: str = states.NAME,
    image: str = "",
    volume_gb: str = "",
) -> dict[str, State]:
    """Run `python -m <module>` in a processing job and wait for it. The job's name is then at `$.<result>.job`.

    It runs in the processing image, or in the image that the path `image` names, with the volume that the path
    `volume_gb` says, else with the least. A second processing job of an
    execution needs a `name` of its own."""
    parameters: dict[str, Any] = {
        "ProcessingJobName.$": name,
        "RoleArn": context.names.role_arn(JOB_ROLE),
        "AppSpecification": {
            **({"ImageUri.$": image} if image else {"ImageUri": context.images["processing"]}),
            "ContainerEntrypoint": ["python", "-m", module],
        },
        "ProcessingInputs": [dict(one) for one in inputs],
        "ProcessingOutputConfig": {"KmsKeyId": context.key_arn, "Outputs": [dict(one) for one in outputs]},
        "ProcessingResources": {"ClusterConfig": cluster(context, instance(context), count=1, volume_gb=volume_gb)},
        "NetworkConfig": {"EnableNetworkIsolation": True, "VpcConfig": vpc(context)},
        "StoppingCondition": {"MaxRuntimeInSeconds": minutes * 60},
        "Tags": tags(context),
    }
    if environment:
        parameters["Environment"] = dict(environment)
    return waited(state, "Processing", comment, parameters, result, next_state)


def training(
    context: Context, state: str, *, comment: str, result: str, next_state: str, pretrained: str, volume_gb: str
) -> dict[str, State]:
    """Train on the snapshot of this run and wait. Job and artefact are then at `$.<result>.job` and `.model_data_url`.

    If no spot instance comes or the job dies, a second job follows on demand. It finds the checkpoints of the first.
    Step Functions cannot tell a dead instance from wrong code, so the budget reserves both jobs beforehand."""
    spot, second = _training(context, pretrained, volume_gb), f"{state} on demand"
    on_demand = {
        **spot,
        "TrainingJobName.$": states.name_of("on-demand"),
        "EnableManagedSpotTraining": False,
        "StoppingCondition": {"MaxRuntimeInSeconds": spot["StoppingCondition"]["MaxRuntimeInSeconds"]},
    }
    # The URI is where SageMaker puts an artefact: a job without an instance is described without one.
    template = context.names.run_uri("{}", "training", "{}", "output", ARCHIVE)
    selected = {
        "model_data_url.$": f"States.Format('{template}', $$.Execution.Name, $.TrainingJobName)",
        "secondary_status.$": "$.SecondaryStatus",
    }
    refused = {"Variable": f"$.{result}.secondary_status", "StringEquals": "MaxWaitTimeExceeded"}
    died = {"ErrorEquals": ["States.TaskFailed"], "ResultPath": "$.died", "Next": second}
    why = "Train again from the last checkpoint, on an instance that nobody takes away"
    return {
        state: {**_task(state, "Training", comment, spot, result, selected), "Catch": [died]},
        **_completed(state, result, next_state, (refused, second)),
        second: _task(second, "Training", why, on_demand, result, selected),
        **_completed(second, result, next_state),
    }


def _training(context: Context, pretrained: str, volume_gb: str) -> dict[str, Any]:
    """The parameters of a training job on spot instances."""
    workload = context.workload.training
    seconds = workload.max_runtime_minutes * 60
    return {
        "TrainingJobName.$": states.NAME,
        "RoleArn": context.names.role_arn(JOB_ROLE),
        "AlgorithmSpecification": {
            "TrainingImage": context.images["training"],
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": name, "Regex": pattern(name)} for name in TRAINING_METRICS],
        },
        "HyperParameters": {"workload": context.workload.name, "run.$": "$$.Execution.Name"},
        "InputDataConfig": [
            channel(DATA_CHANNEL, run_uri(context, "manifest.json"), manifest=True),
            channel(CONFIG_CHANNEL, run_uri(context, "config", "")),
            *([channel(WEIGHTS_CHANNEL, workload.weights.source)] if workload.weights else []),
            *([channel(PRETRAINED_CHANNEL, pretrained)] if pretrained else []),
        ],
        "OutputDataConfig": {"S3OutputPath.$": run_uri(context, "training"), "KmsKeyId": context.key_arn},
        "CheckpointConfig": {"S3Uri.$": f"States.Format('{context.names.checkpoints_uri('{}')}', $$.Execution.Name)"},
        "ResourceConfig": cluster(
            context, workload.instance[context.platform.stage], count=workload.instances, volume_gb=volume_gb
        ),
        # The time of the training and as much to wait for an instance.
        "StoppingCondition": {"MaxRuntimeInSeconds": seconds, "MaxWaitTimeInSeconds": 2 * seconds},
        "EnableManagedSpotTraining": True,
        # Isolation does not keep the instances of a training from each other: they reach each other, and nothing else.
        "EnableNetworkIsolation": True,
        **({"EnableInterContainerTrafficEncryption": True} if workload.instances > 1 else {}),
        "VpcConfig": vpc(context),
        "Tags": tags(context),
    }


def waited(
    state: str, kind: str, comment: str, parameters: Mapping[str, Any], result: str, next_state: str
) -> dict[str, State]:
    """Start a job and wait for its end; the execution ends if it was stopped. Its name is then at `$.<result>.job`."""
    return {state: _task(state, kind, comment, parameters, result), **_completed(state, result, next_state)}


def _task(
    state: str,
    kind: str,
    comment: str,
    parameters: Mapping[str, Any],
    result: str,
    selected: Mapping[str, str] | None = None,
) -> State:
    """A task that starts a job, and waits for its end (`.sync`).

    Name and status are then at `$.<result>.job` and `.status`."""
    return {
        "Type": "Task",
        "Comment": comment,
        "Resource": states.integration(f"sagemaker:create{kind}Job.sync"),
        "Parameters": dict(parameters),
        "ResultSelector": {"job.$": f"$.{kind}JobName", "status.$": f"$.{kind}JobStatus", **(selected or {})},
        "ResultPath": f"$.{result}",
        "Retry": retried(),
        "Next": f"{state} completed?",
    }


def _completed(state: str, result: str, next_state: str, *others: tuple[State, str]) -> dict[str, State]:
    """The Choice `<state> completed?` after a job, and the end of an execution whose job was stopped."""
    completed = (states.equals(f"$.{result}.status", "Completed"), next_state)
    return {
        f"{state} completed?": states.choice("Has the job done its work?", [completed, *others], otherwise=STOPPED),
        STOPPED: states.fail(
            "What was live stays; start the run again",
            error="JobStopped",
            cause="The job was stopped by a person, or its time was over",
        ),
    }
