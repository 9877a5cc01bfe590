"""Rules on the values of one resource or one task.

Some are values that a service refuses although the schema of its property allows them; others a stage must state.
cfn-lint checks more of the first kind: the visibility of a queue against the timeout of its function, repeated tags."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from millrace.infra.instances import has_own_disk
from millrace.infra.rules.assembly import Finding, Stack, given, listed, resources, tasks, text

Values = Mapping[str, Any]
Found = Iterator[tuple[str, Any]]
"""What was expected and what came, once for each value that is refused."""
HOUR_S, DAY_S = 3600, 86_400


@dataclass(frozen=True, kw_only=True)
class Check:
    """What is refused in the properties of a resource or the parameters of a task."""

    kinds: tuple[str, ...]
    """Types of resources, and tasks by service and action: `sagemaker:createTrainingJob`."""
    find: Callable[[Values], Found]


def check(checks: Sequence[Check], stacks: Sequence[Stack]) -> Iterator[Finding]:
    """A finding for each value of a resource or a task that one of the checks refuses."""
    for resource in resources(stacks):
        yield from _found(checks, resource.where, resource.kind, resource.properties)
    for task in tasks(stacks):
        yield from _found(checks, task.where, f"{task.service}:{task.action}", task.parameters)


def _found(checks: Sequence[Check], where: str, kind: str, values: Values) -> Iterator[Finding]:
    for one in checks:
        if kind in one.kinds:
            yield from (Finding(where=where, expected=expected, came=came) for expected, came in one.find(values))


def _number(values: Any, *path: str) -> int | None:
    """The whole number at the path; None if there is none, or if it is only known at deployment."""
    value = given(values, *path)
    return int(value) if isinstance(value, int) or (isinstance(value, str) and value.isdigit()) else None


# Kinds of checks that several entries of a table share.


def _is_true(*path: str) -> Callable[[Values], Found]:
    """Refuses any other value at the path, also one that only run time decides."""

    def find(values: Values) -> Found:
        if (came := given(values, *path)) is not True:
            yield f"{path[-1]} true", came

    return find


def _between(expected: str, low: int, high: int, *path: str) -> Callable[[Values], Found]:
    """Refuses a number at the path that is below `low` or above `high`."""

    def find(values: Values) -> Found:
        number = _number(values, *path)
        if number is not None and not low <= number <= high:
            yield expected, number

    return find


def _at_most(path: str, bound: str) -> Callable[[Values], Found]:
    """Refuses a number at `path` that is above the one at `bound`."""

    def find(values: Values) -> Found:
        number, most = _number(values, path), _number(values, bound)
        if number is not None and most is not None and number > most:
            yield f"{path} of {bound} at most", f"{number} of {most}"

    return find


def _once(what: str, path: str, name: str) -> Callable[[Values], Found]:
    """Refuses values at `name` that several objects of a list have."""

    def find(values: Values) -> Found:
        if twice := [one for one, count in Counter(_texts(values, path, name)).items() if count > 1]:
            yield f"each {what} once", twice

    return find


def _not_reserved(expected: str, path: str, name: str, beginning: str) -> Callable[[Values], Found]:
    """Refuses values at `name` with a beginning that AWS keeps for itself."""

    def find(values: Values) -> Found:
        if reserved := [one for one in _texts(values, path, name) if re.match(beginning, one)]:
            yield expected, reserved

    return find


def _texts(values: Values, path: str, name: str) -> list[str]:
    """The values at `name` of the objects in a list; empty if the list is only known at run time."""
    objects = given(values, path)
    return [str(given(one, name)) for one in objects] if isinstance(objects, list) else []


# Values that a service refuses.

NEEDS_ROLE = (":states:", ":event-bus/", ":api-destination/", ":firehose:", ":kinesis:", ":batch:", ":ecs:")
"""Parts of the ARNs of targets that EventBridge reaches by a role. Functions, queues and topics have own policies."""


def _evaluated(alarm: Values) -> Found:
    periods = [_number(alarm, "Period"), *(_number(one, "MetricStat", "Period") for one in alarm.get("Metrics", []))]
    period_s, count = max((one for one in periods if one), default=0), _number(alarm, "EvaluationPeriods") or 1
    if period_s * count > (DAY_S if period_s < HOUR_S else 7 * DAY_S):
        yield "a day at most (in seconds) of periods below an hour, seven of longer ones", period_s * count


def _block(subnet: Values) -> Found:
    block = given(subnet, "CidrBlock")
    if isinstance(block, str) and not 16 <= int(block.rpartition("/")[2]) <= 28:
        yield "a block of /16 to /28", block


def _target_roles(rule: Values) -> Found:
    arns = [str(target.get("Arn")) for target in rule.get("Targets", []) if not target.get("RoleArn")]
    if unreached := [arn for arn in arns if any(part in arn for part in NEEDS_ROLE)]:
        yield "a RoleArn for each target but functions, queues and topics", unreached


def _schedule(schedule: Values) -> Found:
    window: Values = schedule.get("FlexibleTimeWindow", {})
    if (window.get("Mode") == "FLEXIBLE") != ("MaximumWindowInMinutes" in window):
        yield "MaximumWindowInMinutes where the mode is FLEXIBLE, and there alone", window


TAGGED = tuple(
    f"sagemaker:create{made}"
    for made in (
        *("TrainingJob", "ProcessingJob", "TransformJob", "HyperParameterTuningJob"),
        *("Model", "EndpointConfig", "Endpoint"),
    )
)
TRAINING, PROCESSING = ("sagemaker:createTrainingJob",), ("sagemaker:createProcessingJob",)
TRANSFORM, MODEL = ("sagemaker:createTransformJob",), ("sagemaker:createModel",)
RUN_TIME = ("StoppingCondition", "MaxRuntimeInSeconds")
REFUSED_VALUES = (
    # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html
    Check(
        kinds=("AWS::SQS::Queue",),
        find=_between("maxReceiveCount of 1 to 1,000", 1, 1000, "RedrivePolicy", "maxReceiveCount"),
    ),
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
    Check(kinds=("AWS::CloudWatch::Alarm",), find=_at_most("DatapointsToAlarm", "EvaluationPeriods")),
    Check(kinds=("AWS::CloudWatch::Alarm",), find=_evaluated),
    # https://docs.aws.amazon.com/vpc/latest/userguide/subnet-sizing.html
    Check(kinds=("AWS::EC2::Subnet",), find=_block),
    # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-identity-based.html
    Check(kinds=("AWS::Events::Rule",), find=_target_roles),
    # https://docs.aws.amazon.com/scheduler/latest/APIReference/API_FlexibleTimeWindow.html
    Check(kinds=("AWS::Scheduler::Schedule",), find=_schedule),
    # https://docs.aws.amazon.com/autoscaling/application/APIReference/API_RegisterScalableTarget.html
    Check(
        kinds=("AWS::ApplicationAutoScaling::ScalableTarget", "applicationautoscaling:registerScalableTarget"),
        find=_at_most("MinCapacity", "MaxCapacity"),
    ),
    # https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_StoppingCondition.html
    Check(kinds=TRAINING, find=_between("MaxRuntimeInSeconds of 28 days at most", 1, 28 * DAY_S, *RUN_TIME)),
    Check(kinds=PROCESSING, find=_between("MaxRuntimeInSeconds of 7 days at most", 1, 7 * DAY_S, *RUN_TIME)),
    Check(kinds=TRAINING, find=_once("channel's name", "InputDataConfig", "ChannelName")),
    Check(kinds=PROCESSING, find=_once("input's name", "ProcessingInputs", "InputName")),
    # https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEventsResultEntry.html
    Check(
        kinds=("events:putEvents",),
        find=_not_reserved("sources of one's own, none of aws.", "Entries", "Source", r"aws\."),
    ),
    # https://docs.aws.amazon.com/tag-editor/latest/userguide/tagging.html
    Check(kinds=TAGGED, find=_once("tag", "Tags", "Key")),
    Check(kinds=TAGGED, find=_not_reserved("tags of one's own, none of aws:", "Tags", "Key", "(?i)aws:")),
)


NAMES: dict[str, tuple[tuple[str, ...], str]] = {
    "AWS::CloudWatch::Alarm": (("AlarmName",), r".{1,255}"),
    "AWS::CloudWatch::CompositeAlarm": (("AlarmName",), r".{1,255}"),
    "AWS::CloudWatch::Dashboard": (("DashboardName",), r"[\w-]{1,255}"),
    "AWS::CodeDeploy::Application": (("ApplicationName",), r".{1,100}"),
    "AWS::CodeDeploy::DeploymentGroup": (("DeploymentGroupName",), r".{1,100}"),
    "AWS::DynamoDB::Table": (("TableName",), r"[\w.-]{3,255}"),
    "AWS::ECR::Repository": (("RepositoryName",), r"(?=.{2,256}$)[a-z0-9]+([._/-][a-z0-9]+)*"),
    "AWS::Events::EventBus": (("Name",), r"[/.\w-]{1,256}"),
    "AWS::Events::Rule": (("Name",), r"[.\w-]{1,64}"),
    "AWS::Glue::Database": (("DatabaseInput", "Name"), r"[a-z0-9_]{1,255}"),
    "AWS::Glue::Table": (("TableInput", "Name"), r"[a-z0-9_]{1,255}"),
    "AWS::IAM::Role": (("RoleName",), r"[\w+=,.@-]{1,64}"),
    "AWS::KMS::Alias": (("AliasName",), r"alias/(?!aws/)[\w/-]{1,250}"),
    "AWS::Lambda::Function": (("FunctionName",), r"[\w-]{1,64}"),
    "AWS::Lambda::LayerVersion": (("LayerName",), r"[\w-]{1,140}"),
    "AWS::Logs::LogGroup": (("LogGroupName",), r"[.\-_/#A-Za-z0-9]{1,512}"),
    "AWS::S3::Bucket": (("BucketName",), r"(?!xn--)(?!.*-s3alias$)[a-z0-9][a-z0-9-]{1,61}[a-z0-9]"),
    "AWS::SNS::Topic": (("TopicName",), r"[\w-]{1,256}"),
    "AWS::SQS::Queue": (("QueueName",), r"[\w-]{1,80}"),
    "AWS::SSM::Parameter": (("Name",), r"(?!/aws|/ssm)[\w./-]{1,1011}"),
    "AWS::SageMaker::ModelPackageGroup": (("ModelPackageGroupName",), r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}"),
    "AWS::Scheduler::Schedule": (("Name",), r"[\w.-]{1,64}"),
    "AWS::StepFunctions::StateMachine": (("StateMachineName",), r"[\w-]{1,80}"),
}
"""For each type, the property with the name, and the pattern that it must match by the service's API reference."""


def _name(path: tuple[str, ...], pattern: str) -> Callable[[Values], Found]:
    """Refuses a name that its service refuses. CloudFormation names a resource without a name."""

    def find(values: Values) -> Found:
        name = given(values, *path)
        # A part that is known only at deployment, such as the id of an API, is letters and digits.
        plain = re.sub(r"<\w+>", "x", text(name))
        if name is not None and not re.fullmatch(pattern, plain, re.ASCII):
            yield f"{'.'.join(path)} like {pattern} ({len(text(name))} characters)", text(name)

    return find


RESOURCE_NAMES = tuple(Check(kinds=(kind,), find=_name(*named)) for kind, named in NAMES.items())


# What jobs and models of ours must state.

VPC = {
    "createTrainingJob": ("VpcConfig",),
    "createProcessingJob": ("NetworkConfig", "VpcConfig"),
    "createModel": ("VpcConfig",),
}
"""For each call that starts containers, the path of their network."""
SUBNETS = 2
"""Two subnets for two zones: if one zone has no capacity, SageMaker uses the other. The zones are not checked."""


def _is_in_network(*path: str) -> Callable[[Values], Found]:
    def find(values: Values) -> Found:
        vpc = given(values, *path)
        groups, subnets = given(vpc, "SecurityGroupIds"), given(vpc, "Subnets")
        if not groups:
            yield "a security group in VpcConfig", groups
        if len({str(one) for one in listed(subnets or [])}) < SUBNETS:
            yield f"{SUBNETS} subnets in VpcConfig", subnets

    return find


PRIVATE_NETWORK = tuple(
    Check(kinds=(f"sagemaker:{action}",), find=_is_in_network(*path)) for action, path in VPC.items()
)
ISOLATION = "EnableNetworkIsolation"
NETWORK_ISOLATION = (
    Check(kinds=(*TRAINING, *MODEL, "AWS::SageMaker::Model"), find=_is_true(ISOLATION)),
    Check(kinds=(*PROCESSING, "AWS::SageMaker::ProcessingJob"), find=_is_true("NetworkConfig", ISOLATION)),
)


def _keys(output: str, *cluster: str) -> Callable[[Values], Found]:
    """Refuses a job without a key for its output and its volumes, and a key that its instance refuses."""

    def find(values: Values) -> Found:
        if not (key := given(values, output, "KmsKeyId")):
            yield f"a key in {output}.KmsKeyId", key
        yield from _volume(given(values, *cluster, "VolumeKmsKeyId"), [given(values, *cluster, "InstanceType")])

    return find


def _endpoint_keys(values: Values) -> Found:
    variants = given(values, "ProductionVariants") or [{}]
    yield from _volume(given(values, "KmsKeyId"), [given(variant, "InstanceType") for variant in variants])


def _volume(key: Any, instances: list[Any]) -> Found:
    if not all(isinstance(one, str) and one.startswith("ml.") for one in instances):
        yield "an InstanceType that is known when it is deployed", instances
        return
    # A key is needed unless all disks encrypt themselves, and refused as soon as one does.
    own = [one for one in instances if has_own_disk(one)]
    if own and key:
        yield f"no volume key: {', '.join(own)} refuses it", key
    if not key and len(own) < len(instances):
        yield f"a volume key: {', '.join(instances)} has no own disk", key


JOB_KEYS = (
    Check(kinds=TRAINING, find=_keys("OutputDataConfig", "ResourceConfig")),
    Check(kinds=PROCESSING, find=_keys("ProcessingOutputConfig", "ProcessingResources", "ClusterConfig")),
    Check(kinds=TRANSFORM, find=_keys("TransformOutput", "TransformResources")),
    Check(kinds=("sagemaker:createEndpointConfig",), find=_endpoint_keys),
)


def _spot(training: Values) -> Found:
    """Refuses a spot training that SageMaker refuses, or that starts all over after an interruption."""
    if given(training, "EnableManagedSpotTraining") is not True:
        return
    runs_s = given(training, *RUN_TIME) or 0
    waits_s = given(training, "StoppingCondition", "MaxWaitTimeInSeconds") or 0
    if waits_s < runs_s:
        yield f"MaxWaitTimeInSeconds of {runs_s} at least", waits_s
    if not given(training, "CheckpointConfig", "S3Uri"):
        yield "CheckpointConfig.S3Uri for a spot training", None


SPOT_TRAINING = (Check(kinds=TRAINING, find=_spot),)
MOST_PAYLOAD_MB = 100
SPLITS = ("Line", "RecordIO", "TFRecord")
STREAM, WHOLE = "application/vnd.apache.arrow.stream", ("None", "SingleRecord")


def _payload(transform: Values) -> Found:
    """Refuses requests above 100 MB at once, records together that are not split, and streams in pieces."""
    # What a task leaves out has SageMaker's default: 6 MB, one request at a time.
    at_once = (given(transform, "MaxPayloadInMB") or 6) * (given(transform, "MaxConcurrentTransforms") or 1)
    if at_once > MOST_PAYLOAD_MB:
        yield f"MaxPayloadInMB × MaxConcurrentTransforms of {MOST_PAYLOAD_MB} at most", at_once
    split, strategy = given(transform, "TransformInput", "SplitType"), given(transform, "BatchStrategy")
    if strategy == "MultiRecord" and split not in SPLITS:
        yield f"a SplitType of {', '.join(SPLITS)} with MultiRecord", split
    if given(transform, "TransformInput", "ContentType") == STREAM and (split, strategy) != WHOLE:
        expected = f"SplitType {WHOLE[0]} with {WHOLE[1]}, stated, for a stream that has no records to split"
        yield expected, f"{split} with {strategy}"


TRANSFORM_PAYLOAD = (Check(kinds=TRANSFORM, find=_payload),)


# What functions that hold drops must have.

DROP_LIMIT = "MILLRACE_DROP_MB"
"""The environment variable with a function's limit for a drop, in MB."""
BESIDE_MB = 512
"""Memory beside the drop: twice what was measured, since a part with columns of text has more bytes.

A Parquet file with one row group is in memory as a whole. Its ingestion takes 330 MB for a drop of 137 MB, and 720 MB
for one of 502 MB. About 200 MB of that are Python, the libraries and the part in work. Text is read in parts: 240 MB
for a CSV of 154 MB, 270 MB for one of 308 MB."""


def _memory(function: Values) -> Found:
    limit_mb, memory_mb = given(function, "Environment", "Variables", DROP_LIMIT), given(function, "MemorySize")
    if limit_mb is not None and int(memory_mb or 0) < int(limit_mb) + BESIDE_MB:
        yield f"MemorySize of {int(limit_mb) + BESIDE_MB} MB at least, {DROP_LIMIT} and {BESIDE_MB} MB", memory_mb


DROP_MEMORY = (Check(kinds=("AWS::Lambda::Function",), find=_memory),)
