"""SageMaker jobs as processes: the container's contract, statuses, errors, and `.sync` from a state machine."""

from __future__ import annotations

import json
import queue
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.sagemaker.containers import without_network
from localcloud.sagemaker.jobs import jobs as jobs_module
from localcloud.sagemaker.jobs.jobs import instance_mb, jobs, pending
from millrace.infra.machines import jobs as jobs_of_train
from tests.archives import untarred
from tests.infra.machines.contexts import context_of
from tests.localcloud import tiny_images
from tests.localcloud.resources import Resources, allow, closed, make_role
from tests.localcloud.waiting import until


@pytest.fixture
def training(bucket: str, role: str, fresh: Callable[..., str]) -> Callable[..., dict[str, Any]]:
    """A CreateTrainingJob request; hyperparameters by name."""

    def make(*, more: dict[str, Any] | None = None, **hyperparameters: str) -> dict[str, Any]:
        return {
            "TrainingJobName": fresh("train"),
            **tiny_images.training(bucket, role),
            "HyperParameters": hyperparameters,
            **(more or {}),
        }

    return make


def ended(describe: Callable[..., dict[str, Any]], status: str, **name: str) -> dict[str, Any]:
    until(lambda: describe(**name)[status] not in {"InProgress", "Stopping"})
    return describe(**name)


@pytest.fixture
def train(sagemaker: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Create the job and return what Describe says at its end."""

    def run(request: dict[str, Any]) -> dict[str, Any]:
        sagemaker.create_training_job(**request)
        name = request["TrainingJobName"]
        return ended(sagemaker.describe_training_job, "TrainingJobStatus", TrainingJobName=name)

    return run


def told_by(s3: Any, uri: str) -> dict[str, Any]:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    told: dict[str, Any] = json.loads(untarred(body)["told.json"])
    return told


def on(instances: int) -> dict[str, Any]:
    return {"ResourceConfig": {"InstanceType": "ml.g5.xlarge", "InstanceCount": instances, "VolumeSizeInGB": 10}}


def test_the_instances_of_a_job_reach_each_other_and_nothing_else(
    training: Any, train: Any, client: Any, cloud: Any
) -> None:
    found = train(training(more=on(3), meet="yes", port=str(cloud.port)))
    assert found["TrainingJobStatus"] == "Completed", found
    told = told_by(client("s3"), found["ModelArtifacts"]["S3ModelArtifacts"])
    assert told["hosts"] == ["127.0.0.1", "127.0.0.2", "127.0.0.3"]
    assert told["met"] == ["127.0.0.2", "127.0.0.3"]
    if without_network():
        assert told["network"] != "reached"


def test_an_instance_that_fails_ends_the_others(training: Any, train: Any) -> None:
    found = train(training(more=on(2), meet="fail"))
    assert found["TrainingJobStatus"] == "Failed"
    assert found["FailureReason"] == "AlgorithmError: 127.0.0.2 is broken, exit code: 5"


def test_training_follows_the_containers_contract(
    training: Any, train: Any, client: Any, bucket: str, cloud: Any
) -> None:
    s3 = client("s3")
    for key in ("in/a.csv", "in/deep/b.csv", "other/c.csv"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"1\n")
    manifest = [{"prefix": f"s3://{bucket}/in/"}, "deep/b.csv"]
    s3.put_object(Bucket=bucket, Key="pinned.json", Body=json.dumps(manifest).encode())
    channels = [
        {
            "ChannelName": "all",
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{bucket}/in/"}},
        },
        {
            "ChannelName": "pinned",
            "DataSource": {"S3DataSource": {"S3DataType": "ManifestFile", "S3Uri": f"s3://{bucket}/pinned.json"}},
        },
    ]
    request = training(
        more={"InputDataConfig": channels, "Environment": {"MINE": "1"}}, port=str(cloud.port), data="yes"
    )
    done = train(request)
    assert done["TrainingJobStatus"] == "Completed", done
    assert [one["Status"] for one in done["SecondaryStatusTransitions"]] == [
        "Starting", "Downloading", "Training", "Uploading", "Completed",
    ]  # fmt: skip
    assert done["FinalMetricDataList"][0]["Value"] == 0.25
    told = told_by(s3, done["ModelArtifacts"]["S3ModelArtifacts"])
    name = request["TrainingJobName"]
    assert told["arguments"] == ["train"]
    assert told["files"] == {"all": ["a.csv", "deep/b.csv"], "pinned": ["deep/b.csv"]}
    assert told["environment"] == {"GREETING": "hello there", "MINE": "1", "TRAINING_JOB_NAME": name}
    assert told["keys"] == []
    assert told["repository"] == "hidden"
    if without_network():
        assert told["network"] == "ConnectionRefusedError"
    s3.head_object(Bucket=bucket, Key=f"models/{name}/output/output.tar.gz")


def test_a_job_that_needs_more_memory_than_it_may_take_is_killed(cloud: Any, training: Any, train: Any) -> None:
    jobs(cloud).most_mb, before = 200.0, jobs(cloud).most_mb
    request = training(eat_mb="400")
    failed = train(request)
    jobs(cloud).most_mb = before
    assert failed["TrainingJobStatus"] == "Failed"
    assert failed["FailureReason"].endswith("exit code: 137")
    log = cloud.workspace / "logs" / "jobs" / "training" / f"{request['TrainingJobName']}.log"
    assert "more than the 200 MiB" in log.read_text()
    sizes = {"ml.m5.large": 8, "ml.g5.xlarge": 16, "ml.c6i.2xlarge": 16, "ml.r5.large": 16, "ml.t3.medium": 4}
    assert {kind: instance_mb(kind) / 1024 for kind in sizes} == sizes


def test_what_does_not_fit_the_volume_fails_the_job(
    cloud: Any, training: Any, train: Any, client: Any, bucket: str, monkeypatch: Any
) -> None:
    """An instance with a disk of its own has no volume."""
    client("s3").put_object(Bucket=bucket, Key="many/rows", Body=bytes(10_001))
    rows = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{bucket}/many/"}}
    monkeypatch.setattr(jobs(cloud), "gb_bytes", 1_000)
    found = []
    for instance, size in (("ml.m5.large", 10), ("ml.m5.large", 11), ("ml.r5d.large", 10)):
        resources = {"InstanceType": instance, "InstanceCount": 1, "VolumeSizeInGB": size}
        more = {"InputDataConfig": [{"ChannelName": "a", "DataSource": rows}], "ResourceConfig": resources}
        done = train(training(more=more))
        found.append(done.get("FailureReason", done["TrainingJobStatus"]))
    assert found == ["ClientError: Data download failed:Insufficient disk space", "Completed", "Completed"]


def test_a_channel_without_objects_fails_the_job(training: Any, train: Any, bucket: str) -> None:
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{bucket}/nothing/"}}
    done = train(training(more={"InputDataConfig": [{"ChannelName": "a", "DataSource": source}]}))
    assert "No S3 objects found" in done["FailureReason"]


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ({"TrainingJobName": "with_underscore"}, "regular expression"),
        ({"ResourceConfig": {"InstanceType": "ml.nothing", "InstanceCount": 1, "VolumeSizeInGB": 1}}, "enum value set"),
        ({"RoleArn": "a role with no ARN at all"}, "at 'roleArn'"),
    ],
)
def test_what_awss_model_forbids_is_refused(training: Any, sagemaker: Any, change: Any, constraint: str) -> None:
    with pytest.raises(ClientError, match=f"ValidationException.*{constraint}"):
        sagemaker.create_training_job(**training(more=change))


def test_stop_and_checkpoints(training: Any, train: Any, sagemaker: Any, bucket: str, client: Any, fresh: Any) -> None:
    checkpoints = {"CheckpointConfig": {"S3Uri": f"s3://{bucket}/{fresh('checkpoints')}"}}
    request = training(more=checkpoints, sleep="30")
    name = request["TrainingJobName"]
    sagemaker.create_training_job(**request)
    assert any(name in line for line in pending(client.__self__))
    time.sleep(0.7)
    sagemaker.stop_training_job(TrainingJobName=name)
    done = ended(sagemaker.describe_training_job, "TrainingJobStatus", TrainingJobName=name)
    assert (done["TrainingJobStatus"], done["SecondaryStatus"]) == ("Stopped", "Stopped")
    again = train(training(more=checkpoints))
    assert told_by(client("s3"), again["ModelArtifacts"]["S3ModelArtifacts"])["step"] == 1


def test_time_limit(training: Any, train: Any) -> None:
    done = train(training(more={"StoppingCondition": {"MaxRuntimeInSeconds": 1}}, sleep="30"))
    assert (done["TrainingJobStatus"], done["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")


def test_a_list_of_instance_types_is_refused(training: Any, sagemaker: Any, role: str, fresh: Any) -> None:
    """AWS takes the first type with room, and no list beside spot instances."""
    listed = {"InstancePreferences": [{"InstanceType": "ml.g5.xlarge", "InstanceCount": 1}], "VolumeSizeInGB": 10}
    with pytest.raises(ClientError, match="all of one InstanceType"):
        sagemaker.create_training_job(**training(more={"ResourceConfig": listed}))
    with pytest.raises(ClientError, match="of one InstanceType"):
        sagemaker.create_processing_job(
            ProcessingJobName=fresh("process"),
            RoleArn=role,
            AppSpecification={"ImageUri": "tiny"},
            ProcessingResources={"ClusterConfig": listed},
        )


def test_the_role_must_trust_sagemaker(training: Any, sagemaker: Any, client: Any) -> None:
    arn = make_role(client("iam"), "tiny-other", "lambda", tiny_images.IN_ITS_NAME)
    with pytest.raises(ClientError, match="Could not assume role"):
        sagemaker.create_training_job(**training(more={"RoleArn": arn}))


def test_spot_needs_a_waiting_time(training: Any, sagemaker: Any, train: Any) -> None:
    spot = {"EnableManagedSpotTraining": True, "StoppingCondition": {"MaxRuntimeInSeconds": 60}}
    with pytest.raises(ClientError, match="MaxWaitTimeInSeconds"):
        sagemaker.create_training_job(**training(more=spot))
    spot["StoppingCondition"] = {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 120}
    assert train(training(more=spot))["TrainingJobStatus"] == "Completed"


@pytest.fixture
def transform(
    bucket: str, role: str, fresh: Callable[..., str], sagemaker: Any, client: Any
) -> Callable[..., dict[str, Any]]:
    """Run a transform of the given objects (by name below the prefix); returns Describe at its end."""

    def run(objects: dict[str, bytes], split: str = "Line", instances: int = 1, **more: Any) -> dict[str, Any]:
        model, name = fresh("model"), fresh("transform")
        for key, body in objects.items():
            client("s3").put_object(Bucket=bucket, Key=f"{name}/in/{key}", Body=body)
        sagemaker.create_model(
            ModelName=model,
            ExecutionRoleArn=role,
            PrimaryContainer={"Image": tiny_images.uri("serve")},
        )
        sagemaker.create_transform_job(
            TransformJobName=name,
            ModelName=model,
            TransformInput={
                "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{bucket}/{name}/in/"}},
                "SplitType": split,
                "ContentType": "application/jsonlines",
            },
            TransformOutput={"S3OutputPath": f"s3://{bucket}/{name}/out", "AssembleWith": split},
            TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": instances},
            **more,
        )
        return ended(sagemaker.describe_transform_job, "TransformJobStatus", TransformJobName=name)

    return run


@pytest.mark.parametrize(("strategy", "together"), [("MultiRecord", 3), ("SingleRecord", 1)])
def test_transform(transform: Any, client: Any, bucket: str, strategy: str, together: int) -> None:
    done = transform(
        {"a.jsonl": b"x\ny\nz\n", "sub/b.jsonl": b"q\n"}, BatchStrategy=strategy, MaxConcurrentTransforms=2
    )
    assert done["TransformJobStatus"] == "Completed", done
    s3, name = client("s3"), done["TransformJobName"]
    first = s3.get_object(Bucket=bucket, Key=f"{name}/out/a.jsonl.out")["Body"].read()
    assert first == b"".join(b"%d:%s\n" % (together, letter) for letter in (b"x", b"y", b"z"))
    assert s3.get_object(Bucket=bucket, Key=f"{name}/out/sub/b.jsonl.out")["Body"].read() == b"1:q\n"


def test_a_transform_that_splits_nothing_sends_each_object_whole(transform: Any, client: Any, bucket: str) -> None:
    done = transform({"a.bin": b"x\ny\n", "b.bin": b"z"}, "None", BatchStrategy="SingleRecord")
    assert done["TransformJobStatus"] == "Completed", done
    s3, name = client("s3"), done["TransformJobName"]
    found = [s3.get_object(Bucket=bucket, Key=f"{name}/out/{key}.bin.out")["Body"].read() for key in ("a", "b")]
    assert found == [b"2:x\n2:y", b"1:z"]


def test_the_instances_of_a_transform_share_its_objects(transform: Any, client: Any, bucket: str) -> None:
    """Each object is one instance's; one that fails ends the job."""
    asked = {"split": "None", "instances": 3, "BatchStrategy": "SingleRecord"}
    done = transform({f"{number}.bin": b"where" for number in range(5)}, **asked)
    assert done["TransformJobStatus"] == "Completed", done
    s3, name = client("s3"), done["TransformJobName"]
    found = [s3.get_object(Bucket=bucket, Key=f"{name}/out/{number}.bin.out")["Body"].read() for number in range(5)]
    assert Counter(found) == {name.encode(): 2, f"{name}.2".encode(): 2, f"{name}.3".encode(): 1}
    failed = transform({"0.bin": b"where", "1.bin": b"bad"}, **asked)
    assert "422: not understood" in failed["FailureReason"]


def test_an_object_above_the_payload_fails_where_nothing_splits_it(transform: Any) -> None:
    done = transform({"a.bin": bytes(2**20 + 1)}, "None", BatchStrategy="SingleRecord", MaxPayloadInMB=1)
    assert done["TransformJobStatus"] == "Failed"
    assert "larger than MaxPayloadInMB" in done["FailureReason"]


@pytest.fixture
def machine_of(aws: Resources) -> Callable[[dict[str, Any]], str]:
    """The ARN of a machine of the given states; the first one is its start."""
    role_arn = aws.role("states", allow(["sagemaker:*", "events:*", "iam:PassRole"]))
    return lambda steps: aws.machine(steps, role=role_arn)


@pytest.fixture
def machine(machine_of: Any) -> Callable[..., str]:
    """The ARN of a machine of one task that trains `.sync` with the given parameters."""
    task = {"Type": "Task", "End": True}
    return lambda resource, parameters: machine_of({"T": {**task, "Resource": resource, "Parameters": parameters}})


TRAIN_SYNC = "arn:aws:states:::sagemaker:createTrainingJob.sync"


@pytest.fixture
def run(aws: Resources) -> Callable[[str], dict[str, Any]]:
    return aws.run


def test_sync_fails_with_the_job_as_cause(training: Any, machine: Any, run: Any) -> None:
    told = run(machine(TRAIN_SYNC, training(fail="no")))
    assert told["error"] == "States.TaskFailed"
    assert json.loads(told["cause"])["FailureReason"] == "AlgorithmError: no, exit code: 3"


@pytest.fixture
def training_machine(training: Any, machine_of: Any) -> Callable[..., str]:
    """The states of a training as `train` has them, with tiny jobs."""

    def make(**hyperparameters: str) -> str:
        steps: dict[str, Any] = jobs_of_train.training(
            context_of(),
            "Training",
            comment="Train",
            result="training",
            next_state="Done",
            pretrained="",
            volume_gb="$.gb",
        )
        own = ("TrainingJobName.$", "EnableManagedSpotTraining", "StoppingCondition")
        for state in steps.values():
            if state["Type"] == "Task":
                request = {**training(**hyperparameters), **{key: state["Parameters"][key] for key in own}}
                request.pop("TrainingJobName")
                state["Parameters"] = request
        return str(machine_of({**steps, "Done": {"Type": "Succeed"}}))

    return make


def test_a_training_without_a_spot_instance_goes_on_on_demand(
    training_machine: Any, run: Any, cloud: Any, sagemaker: Any
) -> None:
    jobs(cloud).no_spot = True
    try:
        told = run(training_machine())
    finally:
        jobs(cloud).no_spot = False
    assert told["status"] == "SUCCEEDED", told
    ended_as = json.loads(told["output"])["training"]
    assert (ended_as["status"], ended_as["job"][40:]) == ("Completed", "-0-0-on-demand")
    spot = sagemaker.describe_training_job(TrainingJobName=ended_as["job"].removesuffix("-on-demand"))
    assert (spot["TrainingJobStatus"], spot["SecondaryStatus"]) == ("Stopped", "MaxWaitTimeExceeded")
    assert ended_as["model_data_url"].endswith(f"/training/{ended_as['job']}/output/model.tar.gz")


def test_a_training_that_a_person_stops_ends_the_execution(
    training_machine: Any, client: Any, sagemaker: Any, cloud: Any
) -> None:
    states = client("stepfunctions")
    execution = states.start_execution(stateMachineArn=training_machine(sleep="30"))["executionArn"]
    (job,) = until(lambda: list(jobs(cloud).running.values()))
    sagemaker.stop_training_job(TrainingJobName=job.name)
    assert closed(states, execution)["error"] == "JobStopped"


def test_names_of_refusals(training: Any, machine: Any, run: Any) -> None:
    request = training()
    assert run(machine(TRAIN_SYNC, request))["status"] == "SUCCEEDED"
    taken = run(machine(TRAIN_SYNC, request))
    assert taken["error"] == "SageMaker.ResourceInUseException"
    assert "already exists" in taken["cause"]
    told = run(machine(TRAIN_SYNC, {**request, "TrainingJobName": "a_b"}))
    assert told["error"] == "SageMaker.AmazonSageMakerException"
    assert "Error Code: ValidationException" in told["cause"]
    assert run(machine(TRAIN_SYNC, {**request, "Nonsense": 1}))["error"] == "States.Runtime"


def test_a_redrive_trains_under_a_name_of_its_own(
    training: Any, machine: Any, run: Any, sagemaker: Any, client: Any, fresh: Any
) -> None:
    """The task is scheduled again, its count of retries begins at 0; a fixed name would be taken."""
    request, prefix, states = training(fail="no"), fresh("redriven"), client("stepfunctions")
    fixed = run(machine(TRAIN_SYNC, request))
    del request["TrainingJobName"]
    counts = "$$.State.RetryCount, $$.Execution.RedriveCount"
    told = run(machine(TRAIN_SYNC, {**request, "TrainingJobName.$": f"States.Format('{prefix}-{{}}-{{}}', {counts})"}))
    for one in (told, fixed):
        states.redrive_execution(executionArn=one["executionArn"])
    again, refused = (closed(states, one["executionArn"]) for one in (told, fixed))
    assert json.loads(again["cause"])["TrainingJobName"] == f"{prefix}-0-1"
    listed = sagemaker.list_training_jobs(NameContains=prefix)["TrainingJobSummaries"]
    assert sorted(one["TrainingJobName"] for one in listed) == [f"{prefix}-0-0", f"{prefix}-0-1"]
    assert refused["error"] == "SageMaker.ResourceInUseException"


def test_stopping_the_execution_while_it_creates_the_job_stops_the_job(
    training: Any, machine: Any, client: Any, sagemaker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    states, request = client("stepfunctions"), training(sleep="300")
    begun: queue.SimpleQueue[str] = queue.SimpleQueue()
    create = jobs_module.create

    def stopped_before_the_answer(*arguments: Any) -> Any:
        answer = create(*arguments)
        states.stop_execution(executionArn=begun.get())
        return answer

    monkeypatch.setattr(jobs_module, "create", stopped_before_the_answer)
    begun.put(states.start_execution(stateMachineArn=machine(TRAIN_SYNC, request))["executionArn"])
    name = request["TrainingJobName"]
    until(lambda: sagemaker.list_training_jobs(NameContains=name)["TrainingJobSummaries"])
    done = ended(sagemaker.describe_training_job, "TrainingJobStatus", TrainingJobName=name)
    assert done["TrainingJobStatus"] == "Stopped"


def test_state_changes_are_told_on_the_bus(training: Any, train: Any, aws: Resources) -> None:
    request = training()
    detail = {"TrainingJobStatus": ["Completed"], "TrainingJobName": [request["TrainingJobName"]]}
    queue = aws.heard(**{"detail-type": ["SageMaker Training Job State Change"], "detail": detail})
    train(request)
    assert isinstance(json.loads(queue.take()["Body"])["detail"]["TrainingEndTime"], int)


def test_an_unknown_image_fails_the_job(training: Any, train: Any) -> None:
    request = training()
    request["AlgorithmSpecification"]["TrainingImage"] = tiny_images.uri("nobody")
    assert "nobody" in train(request)["FailureReason"]


def test_a_path_outside_is_refused(sagemaker: Any, bucket: str, role: str, fresh: Any) -> None:
    rows = {"S3Uri": f"s3://{bucket}/rows/", "S3DataType": "S3Prefix", "LocalPath": str(Path("/etc/here"))}
    name, cluster = fresh("process"), {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}
    sagemaker.create_processing_job(
        ProcessingJobName=name,
        AppSpecification={"ImageUri": tiny_images.uri("process")},
        RoleArn=role,
        ProcessingResources={"ClusterConfig": cluster},
        ProcessingInputs=[{"InputName": "rows", "S3Input": rows}],
    )
    done = ended(sagemaker.describe_processing_job, "ProcessingJobStatus", ProcessingJobName=name)
    assert "below /opt/ml" in done["FailureReason"]


def test_sync_waits_and_returns_the_description(training: Any, machine: Any, run: Any, client: Any) -> None:
    told = run(machine(TRAIN_SYNC, training()))
    assert told["status"] == "SUCCEEDED", told
    output = json.loads(told["output"])
    assert output["TrainingJobStatus"] == "Completed"
    assert output["ModelArtifacts"]["S3ModelArtifacts"].endswith("model.tar.gz")
    assert isinstance(output["TrainingEndTime"], int)
    events = client("stepfunctions").get_execution_history(executionArn=told["executionArn"])["events"]
    assert [event["type"] for event in events] == [
        "ExecutionStarted", "TaskStateEntered", "TaskScheduled", "TaskStarted", "TaskSubmitted", "TaskSucceeded",
        "TaskStateExited", "ExecutionSucceeded",
    ]  # fmt: skip
    scheduled = events[2]["taskScheduledEventDetails"]
    assert (scheduled["resourceType"], scheduled["resource"]) == ("sagemaker", "createTrainingJob.sync")
    assert "TrainingJobName" in scheduled["parameters"]
