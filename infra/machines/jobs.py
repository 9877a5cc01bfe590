"""SageMaker's jobs as tasks that wait for their end: training, processing, batch transform.

All without network, in the VPC, under the customer key; names that a retry or a redrive never uses twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from infra.context import Context
from infra.instances import has_own_disk
from infra.machines import states
from infra.machines.parameters import checked
from infra.machines.states import State
from millrace.messages.training_job import (
    CONFIG_CHANNEL,
    DATA_CHANNEL,
    TRAINING_METRICS,
    WEIGHTS_CHANNEL,
    pattern,
)
from millrace.workload.section import Stage
from millrace.workload.training_cost import TRAININGS

SERVICE_ERROR = "SageMaker.AmazonSageMakerException"
"""The call itself failed. What the API's model does not name, such as throttling, has this name:
https://github.com/aws/aws-step-functions-data-science-sdk-python/pull/162

Of the jobs that ran and failed only a training is started again by itself, once, since it goes on from its last
checkpoint where there is one; of the others a redrive does that."""
QUOTA_ERROR = "SageMaker.ResourceLimitExceededException"
"""Other jobs have all instances of the type that the account may use at once, or it may use none.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateTrainingJob.html#API_CreateTrainingJob_Errors"""
QUOTA_POLL_S, QUOTA_POLLS = 300, 12
"""Half an hour on average, an hour at most: most jobs end sooner. Who has no instance at all is told then."""


def stage(context: Context) -> Stage:
    """The stage as workloads index their instances by it."""
    return context.platform.stage


def retried() -> list[State]:
    """Retry of every task that starts a job: of several jobs and one instance the others wait for it."""
    return [
        states.retry(SERVICE_ERROR, interval_s=15, attempts=4),
        states.retry(QUOTA_ERROR, interval_s=QUOTA_POLL_S, attempts=QUOTA_POLLS, rate=1.0),
    ]


def run_uri(context: Context, *parts: str) -> str:
    """The intrinsic function that gives `s3://<artefacts>/<workload>/runs/<this execution>/<parts>`."""
    return f"States.Format('{context.names.run_uri('{}', *parts)}', $$.Execution.Name)"


def vpc(context: Context) -> dict[str, Any]:
    return {"SecurityGroupIds": [context.security_group_id], "Subnets": list(context.subnet_ids)}


def tags(context: Context) -> list[dict[str, str]]:
    """Of what a machine makes: those of its stack, which do not reach what is in no template."""
    return [{"Key": key, "Value": value} for key, value in context.tags.items()]


def cluster(context: Context, instance: str, *, count: int, volume_gb: int) -> dict[str, Any]:
    """Instances and their volumes of this size."""
    return {**instances(context, instance, count=count), "VolumeSizeInGB": volume_gb}


def instances(context: Context, instance: str, *, count: int) -> dict[str, Any]:
    """Instances, their volumes under the customer key where the family takes one."""
    key = {} if has_own_disk(instance) else {"VolumeKmsKeyId": context.key_arn}
    return {"InstanceCount": count, "InstanceType": instance, **key}


def channel(name: str, uri: str, *, manifest: bool = False) -> dict[str, Any]:
    """One input of a training job; `uri` is an intrinsic function or a path, `manifest` says what lies there."""
    kind = "ManifestFile" if manifest else "S3Prefix"
    source = {"S3DataType": kind, "S3Uri.$": uri, "S3DataDistributionType": "FullyReplicated"}
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}, "InputMode": "File"}


def fixed_channel(name: str, uri: str) -> dict[str, Any]:
    """One input of a training job, the same for every run: the object with this URI."""
    source = {"S3DataType": "S3Prefix", "S3Uri": uri, "S3DataDistributionType": "FullyReplicated"}
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}, "InputMode": "File"}


def given(name: str, uri: str, *, manifest: bool = False) -> dict[str, Any]:
    """One input of a processing job, at /opt/ml/processing/<name>."""
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
    """One output of a processing job, from /opt/ml/processing/<name>."""
    output = {"S3Uri.$": uri, "LocalPath": f"/opt/ml/processing/{name}", "S3UploadMode": "EndOfJob"}
    return {"OutputName": name, "S3Output": output}


def processing(
    context: Context,
    *,
    comment: str,
    module: str,
    role_arn: str,
    instance: str,
    inputs: Sequence[Mapping[str, Any]],
    outputs: Sequence[Mapping[str, Any]],
    minutes: int,
    result: str,
    next_state: str,
    environment: Mapping[str, str] | None = None,
    name: str = states.NAME,
    image: str = "",
) -> State:
    """Run `python -m <module>` and wait; the job's name lands at `$.<result>.job`.

    It runs in the processing image, or in the one that the path `image` names.

    The second processing job of an execution needs a `name` of its own."""
    parameters: dict[str, Any] = {
        "ProcessingJobName.$": name,
        "RoleArn": role_arn,
        "AppSpecification": {
            **({"ImageUri.$": image} if image else {"ImageUri": context.images["processing"]}),
            "ContainerEntrypoint": ["python", "-m", module],
        },
        "ProcessingInputs": [dict(one) for one in inputs],
        "ProcessingOutputConfig": {"KmsKeyId": context.key_arn, "Outputs": [dict(one) for one in outputs]},
        "ProcessingResources": {"ClusterConfig": cluster(context, instance, count=1, volume_gb=30)},
        "NetworkConfig": {"EnableNetworkIsolation": True, "VpcConfig": vpc(context)},
        "StoppingCondition": {"MaxRuntimeInSeconds": minutes * 60},
        "Tags": tags(context),
    }
    if environment:
        parameters["Environment"] = dict(environment)
    return _task("createProcessingJob", comment, parameters, {"job.$": "$.ProcessingJobName"}, result, next_state)


def transform(
    context: Context,
    *,
    comment: str,
    model_name: str,
    instance: str,
    input_uri: str,
    output_uri: str,
    content_type: str,
    payload_mb: int,
    result: str,
    next_state: str,
) -> State:
    """Each object below `input_uri` through the model, whole; the three names are paths into the state."""
    parameters = {
        "TransformJobName.$": states.NAME,
        "ModelName.$": model_name,
        "BatchStrategy": "SingleRecord",
        "MaxPayloadInMB": payload_mb,
        "TransformInput": {
            "ContentType": content_type,
            "SplitType": "None",
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri.$": input_uri}},
        },
        "TransformOutput": {
            "S3OutputPath.$": output_uri,
            "Accept": content_type,
            "AssembleWith": "None",
            "KmsKeyId": context.key_arn,
        },
        "TransformResources": instances(context, instance, count=1),
        "Tags": tags(context),
    }
    return _task("createTransformJob", comment, parameters, {"job.$": "$.TransformJobName"}, result, next_state)


def training(context: Context, *, comment: str, role_arn: str, result: str, next_state: str) -> State:
    """Train on the snapshot of this run; job name and artefact land at `$.<result>.{job,model_data_url}`.

    A job that dies is followed by another: its name has the retry's number, its checkpoints lie where the first left
    them. Step Functions cannot tell a dead instance from wrong code, so the budget reserves both jobs beforehand."""
    workload, spot = context.workload.training, context.settings.use_spot
    seconds = workload.max_runtime_minutes * 60
    parameters = {
        "TrainingJobName.$": states.NAME,
        "RoleArn": role_arn,
        "AlgorithmSpecification": {
            "TrainingImage": context.images["training"],
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": name, "Regex": pattern(name)} for name in TRAINING_METRICS],
        },
        "HyperParameters": {"workload": context.workload.name, "run.$": "$$.Execution.Name"},
        "InputDataConfig": [
            channel(DATA_CHANNEL, run_uri(context, "manifest.json"), manifest=True),
            channel(CONFIG_CHANNEL, run_uri(context, "config", "")),
            *([fixed_channel(WEIGHTS_CHANNEL, workload.weights.source)] if workload.weights else []),
        ],
        "OutputDataConfig": {"S3OutputPath.$": run_uri(context, "training"), "KmsKeyId": context.key_arn},
        "CheckpointConfig": {"S3Uri.$": f"States.Format('{context.names.checkpoints_uri('{}')}', $$.Execution.Name)"},
        "ResourceConfig": cluster(context, workload.instance[stage(context)], count=workload.instances, volume_gb=50),
        "StoppingCondition": {
            "MaxRuntimeInSeconds": seconds,
            **({"MaxWaitTimeInSeconds": 2 * seconds} if spot else {}),
        },
        "EnableManagedSpotTraining": spot,
        # Its instances reach each other all the same, and nothing else.
        "EnableNetworkIsolation": True,
        **({"EnableInterContainerTrafficEncryption": True} if workload.instances > 1 else {}),
        "VpcConfig": vpc(context),
        "Tags": tags(context),
    }
    selected = {"job.$": "$.TrainingJobName", "model_data_url.$": "$.ModelArtifacts.S3ModelArtifacts"}
    once_more = states.retry("States.TaskFailed", interval_s=10, attempts=TRAININGS - 1)
    task = _task("createTrainingJob", comment, parameters, selected, result, next_state)
    return {**task, "Retry": [*task["Retry"], once_more]}


def _task(
    action: str, comment: str, parameters: Mapping[str, Any], selected: Mapping[str, str], result: str, next_state: str
) -> State:
    return checked(
        {
            "Type": "Task",
            "Comment": comment,
            "Resource": states.integration(f"sagemaker:{action}.sync"),
            "Parameters": dict(parameters),
            "ResultSelector": dict(selected),
            "ResultPath": f"$.{result}",
            "Retry": retried(),
            "Next": next_state,
        }
    )
