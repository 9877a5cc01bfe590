"""Runs a training job as SageMaker does: channels and configuration in, model, outputs and checkpoints out.

Contract: https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo.html
Refused by name, as not covered: groups and preference lists of instances, channels sharded among instances, Pipe mode,
compressed channels, augmented manifests, file systems as channels. Spot training is accepted and never interrupted.
Several instances are processes of this machine (see `instances.py`). The model is what the first instance leaves.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from localcloud.kernel.cloud import Cloud
from localcloud.sagemaker import loopback
from localcloud.sagemaker.api import Fields, invalid
from localcloud.sagemaker.channels import MoveError, download, keys, pack, put, s3_of, split, upload
from localcloud.sagemaker.containers import images
from localcloud.sagemaker.jobs.job import MOST, Job, JobError

_DAY_S = 86_400.0


def prepare(_: Cloud, request: Fields) -> tuple[str, float]:
    """Role ARN and time limit in seconds. Raises RefusedError for what AWS would refuse or what is not covered."""
    resources = request.get("ResourceConfig", {})
    count = int(resources.get("InstanceCount", 1))
    if count > MOST or resources.get("InstanceGroups") or resources.get("InstancePreferences"):
        raise invalid(f"the local cloud covers training on {MOST} instances at most, all of one InstanceType")
    if "TrainingImage" not in request["AlgorithmSpecification"]:
        raise invalid("the local cloud does not cover algorithms without a TrainingImage")
    for channel in request.get("InputDataConfig", []):
        _check_channel(channel, alone=count == 1)
    limit_s = request.get("StoppingCondition", {}).get("MaxRuntimeInSeconds", _DAY_S)
    if request.get("EnableManagedSpotTraining"):
        wait_s = request.get("StoppingCondition", {}).get("MaxWaitTimeInSeconds")
        if wait_s is None or wait_s < limit_s:
            raise invalid(
                "Invalid MaxWaitTimeInSeconds. It must be present and be greater than or equal to MaxRuntimeInSeconds"
            )
    return request["RoleArn"], float(limit_s)


def _check_channel(channel: Mapping[str, Any], *, alone: bool) -> None:
    name = channel["ChannelName"]
    if channel.get("InputMode", "File") == "Pipe":
        raise invalid(f"channel {name}: the local cloud does not cover InputMode Pipe")
    if channel.get("CompressionType", "None") != "None":
        raise invalid(f"channel {name}: the local cloud does not cover CompressionType {channel['CompressionType']}")
    if "S3DataSource" not in channel.get("DataSource", {}):
        raise invalid(f"channel {name}: the local cloud covers S3DataSource only")
    if not alone and channel["DataSource"]["S3DataSource"].get("S3DataDistributionType") == "ShardedByS3Key":
        raise invalid(f"channel {name}: the local cloud does not cover ShardedByS3Key on several instances")


def run(job: Job) -> None:
    """Run the job to its end. What the container left is uploaded also if it fails or is stopped.

    Raises JobError if the container fails, MoveError if files cannot be moved."""
    # Each instance has its own folder, with its own copies of configuration, channels and checkpoints.
    request = job.fields
    image = images(job.cloud).find(request["AlgorithmSpecification"]["TrainingImage"])
    s3 = s3_of(job.cloud, job.role_arn)
    job.note("Downloading")
    hosts = _hosts(job)
    for host, root in hosts.items():
        _write_configuration(job, root, host, list(hosts))
        for channel in request.get("InputDataConfig", []):
            download(s3, channel["DataSource"]["S3DataSource"], root / "input" / "data" / channel["ChannelName"])
        _restore_checkpoints(job, s3, root)
        job.check_volume(root)
        for folder in ("model", "output/data"):
            (root / folder).mkdir(parents=True, exist_ok=True)
    checkpoints = _checkpoints(job, job.root)
    job.note("Training")
    algorithm = request["AlgorithmSpecification"]
    arguments = image.arguments(
        entrypoint=algorithm.get("ContainerEntrypoint", ()),
        command=algorithm.get("ContainerArguments", ()) or ("train",),
    )
    given = {
        **request.get("Environment", {}),
        "TRAINING_JOB_NAME": job.name,
        "TRAINING_JOB_ARN": request["TrainingJobArn"],
    }
    code = job.execute(image, arguments, given, roots=list(hosts.values()))
    # As SageMaker does: checkpoints are always uploaded (there while the job runs, here at its end). The model is
    # uploaded also if the job was stopped, but not if it failed.
    job.note("Uploading")
    _read_metrics(job)
    if checkpoints.is_dir() and "CheckpointConfig" in request:
        upload(s3, checkpoints, request["CheckpointConfig"]["S3Uri"])
    failed = code != 0 and not job.stop.is_set()
    _upload_outputs(job, s3, model=not failed)
    if failed:
        told = [path for root in hosts.values() if (path := root / "output" / "failure").exists()]
        message = told[0].read_text(errors="replace") if told else ""
        raise JobError(f"AlgorithmError: {message[:1000]}, exit code: {code}")


def _hosts(job: Job) -> dict[str, Path]:
    """The folder that stands for `/opt/ml` of each instance, by the name of the instance.

    The first folder is the job's own. One instance has the name `algo-1`; several have addresses, as `instances.py`
    says: `{"127.0.0.1": …/nightly, "127.0.0.2": …/nightly.2}`."""
    count = int(job.fields.get("ResourceConfig", {}).get("InstanceCount", 1))
    return {"algo-1" if count == 1 else f"127.0.0.{number}": root for number, root in enumerate(job.roots(count), 1)}


def _write_configuration(job: Job, root: Path, current: str, names: list[str]) -> None:
    folder = root / "input" / "config"
    folder.mkdir(parents=True)
    channels = {channel["ChannelName"]: _channel_file(channel) for channel in job.fields.get("InputDataConfig", [])}
    instance = job.fields.get("ResourceConfig", {}).get("InstanceType", "")
    hosts = {
        "current_host": current,
        "current_instance_type": instance,
        "current_group_name": "homogeneousCluster",
        "hosts": names,
        "instance_groups": [{"instance_group_name": "homogeneousCluster", "instance_type": instance, "hosts": names}],
        "network_interface_name": "eth0" if len(names) == 1 else loopback.NAME,
    }
    _write(folder / "hyperparameters.json", job.fields.get("HyperParameters", {}))
    _write(folder / "inputdataconfig.json", channels)
    _write(folder / "resourceconfig.json", hosts)


def _channel_file(channel: Mapping[str, Any]) -> dict[str, Any]:
    content = {"ContentType": channel["ContentType"]} if "ContentType" in channel else {}
    source = channel["DataSource"]["S3DataSource"]
    return {
        **content,
        "TrainingInputMode": "File",
        "S3DistributionType": source.get("S3DataDistributionType", "FullyReplicated"),
        "RecordWrapperType": channel.get("RecordWrapperType", "None"),
    }


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value))


def _checkpoints(job: Job, root: Path) -> Path:
    """The folder with the checkpoints of the instance whose `/opt/ml` is `root`."""
    return inside(root, job.fields.get("CheckpointConfig", {}).get("LocalPath", "/opt/ml/checkpoints"))


def _restore_checkpoints(job: Job, s3: Any, root: Path) -> None:
    """Fill the folder of checkpoints with those that an earlier job left at the same S3Uri."""
    settings, folder = job.fields.get("CheckpointConfig", {}), _checkpoints(job, root)
    folder.mkdir(parents=True, exist_ok=True)
    if settings:
        bucket, prefix = split(settings["S3Uri"])
        # `download` would refuse an S3Uri at which no job has left anything yet.
        if next(keys(s3, bucket, prefix), None) is not None:
            download(s3, {"S3Uri": settings["S3Uri"]}, folder)


def inside(root: Path, path: str) -> Path:
    """Where the path `/opt/ml/...` of the container lies on this machine. Raises MoveError for any other path."""
    if not f"{path}/".startswith("/opt/ml/"):
        raise MoveError(f"ClientError: expected a path below /opt/ml, got {path}")
    return root / path.removeprefix("/opt/ml").lstrip("/")


def _upload_outputs(job: Job, s3: Any, *, model: bool) -> None:
    settings = job.fields["OutputDataConfig"]
    target, kms_key = f"{settings['S3OutputPath'].rstrip('/')}/{job.name}/output", settings.get("KmsKeyId")
    packed = settings.get("CompressionType", "GZIP") == "GZIP"
    if model:
        where = f"{target}/model.tar.gz" if packed else f"{target}/model/"
        _send(job.root / "model", where, s3, kms_key)
        job.fields["ModelArtifacts"] = {"S3ModelArtifacts": where}
    data = job.root / "output" / "data"
    if any(data.iterdir()):
        _send(data, f"{target}/output.tar.gz" if packed else f"{target}/data/", s3, kms_key)


def _send(folder: Path, target: str, s3: Any, kms_key: str | None) -> None:
    """Upload the folder: file by file if the target ends with a slash, else as one archive of that name."""
    if target.endswith("/"):
        upload(s3, folder, target, kms_key=kms_key)
        return
    archive = folder.parent / f".{target.rpartition('/')[2]}"
    pack(folder, archive)
    put(s3, archive, target, kms_key=kms_key)
    archive.unlink()


def _read_metrics(job: Job) -> None:
    """Enter FinalMetricDataList: for each MetricDefinition the last value that its expression finds in the log."""
    definitions = job.fields["AlgorithmSpecification"].get("MetricDefinitions", [])
    text = job.log.read_text(errors="replace") if definitions and job.log.exists() else ""
    found = {one["Name"]: re.findall(one["Regex"], text) for one in definitions}
    job.fields["FinalMetricDataList"] = [
        {"MetricName": name, "Value": float(values[-1]), "Timestamp": job.cloud.clock.now()}
        for name, values in found.items()
        if values
    ]
