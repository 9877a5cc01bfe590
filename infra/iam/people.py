"""The rights of people (`millrace.people`), on the workload that the tags of a person's role or session name.

So five policies serve every workload of a stage: an ARN has `${aws:PrincipalTag/millrace:slug}` in place of a name. A
tag has one value, which may hold no `*`: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_tags.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from millrace.infra.iam import functions, iceberg, key, registry, sagemaker_jobs, state_table
from millrace.infra.iam.buckets import audit_links, find_audit_chain
from millrace.infra.iam.resource import Resource, Statement, every, merged, resource
from millrace.names import DEPLOYMENT_TAG, JOB_ROLE, LIVE, QUERY_RESULTS, TABLES, TUNE, Platform, WorkloadNames
from millrace.operations.dead_letters import EVENTS, dead
from millrace.operations.notices import RAISED
from millrace.operations.trail import trail_logs
from millrace.people import RIGHTS, SLUG, WORKLOAD, Right, Role
from millrace.release.registry import APPROVED, REJECTED

TEMPLATES = "What is declared is compared with the templates of the whole stage"
PLACES = "Where the stage's buckets lie is no secret, and the policy of a scientist is nearly full"
_OF_RUNS = ("baseline.json", "config/*", "evaluation/evaluation.json", "preflight/*")
LISTED = (
    "cloudwatch:DescribeAlarms", "cloudwatch:GetMetricData", "cloudwatch:GetMetricStatistics",
    "lambda:ListEventSourceMappings", "sagemaker:ListHyperParameterTuningJobs", "sagemaker:ListModelPackages",
    "states:ListStateMachines"
)  # fmt: skip
WATCHED = (
    "cloudwatch:ListDashboards", "events:ListRules", "lambda:ListFunctions", "sagemaker:ListProcessingJobs",
    "sagemaker:ListTrainingJobs", "sagemaker:ListTransformJobs", "sqs:ListQueues"
)  # fmt: skip
"""What takes no resource, and tells names and figures alone."""


class _Tagged(WorkloadNames):
    """The names of the workload that a person's tags name."""

    @property
    def slug(self) -> str:
        return f"${{aws:PrincipalTag/{SLUG}}}"


def statements_of(role: Role, platform: Platform, *, key_arn: str, signing_key_arn: str) -> list[Statement]:
    """What the role's policy allows, in few statements: a policy has 6,144 characters at most."""
    names, rights = _Tagged(platform=platform, workload=f"${{aws:PrincipalTag/{WORKLOAD}}}"), RIGHTS[role]
    found = [one for right in rights if right in _RIGHTS for one in _RIGHTS[right](names)]
    if "data" not in rights:  # which has all objects of the workload
        found += [one for right in rights for one in _objects(names, right)]
    if "documents" in rights:
        found.append(resource("kms", signing_key_arn).may("GetPublicKey", "Verify"))
    return _packed([*found, key.use(key_arn, found)])


def _look(names: WorkloadNames) -> list[Statement]:
    return [
        every("states", because="These actions take no resource, and tell names and figures").may(*LISTED),
        _all(names, "states", "*:{}-*").may(
            "DescribeExecution", "DescribeStateMachine", "GetExecutionHistory", "ListExecutions"
        ),
        _all(names, "lambda", "function:{}-*").may("GetFunctionConfiguration"),
        _all(names, "logs", "log-group:/aws/lambda/{}-*").may("DescribeLogStreams", "FilterLogEvents"),
        _all(names, "sqs", "{}-*").may("GetQueueAttributes", "GetQueueUrl"),
        _jobs(names).may(
            "DescribeHyperParameterTuningJob", "DescribeTrainingJob", "ListTrainingJobsForHyperParameterTuningJob"
        ),
        # Endpoints, models, configurations and versions.
        _all(names, "sagemaker", "*/{}", "*/{}-*", "*/{}/*").may(
            "DescribeEndpoint", "DescribeEndpointConfig", "DescribeModel", "DescribeModelPackage"
        ),
        state_table.read_both(names),
        resource(
            "s3",
            names.platform.arn("s3", f"{names.platform.prefix}-*"),
            where={"StringLike": {"s3:prefix": f"{names.workload}/*"}},
            because="In each bucket of the stage the folder of the workload",
        ).may("ListBucket"),
    ]


def _watch(names: WorkloadNames) -> list[Statement]:
    platform = names.platform
    return [
        every("sqs", because="These actions take no resource, and tell names and figures").may(*WATCHED),
        _all(names, "lambda", "function:{}-*").may("GetProvisionedConcurrencyConfig"),
        _jobs(names).may("DescribeProcessingJob", "DescribeTransformJob"),
        _queues(names).may("GetQueueAttributes", "GetQueueUrl"),
        resource("events", platform.arn("events", f"rule/{platform.rule(RAISED)}")).may("ListTargetsByRule"),
        resource("sns", platform.alarm_topic_arn).may("ListSubscriptionsByTopic"),
    ]


def _objects(names: WorkloadNames, right: Right) -> list[Statement]:
    """Objects without rows of tables, but for rows that the declaration names."""
    of_runs = {"look": _OF_RUNS, "documents": ("bom.cdx.json", "card.json", "*.sig", "training/*")}.get(right, ())
    lake = {"look": ("climbs/*", "monitor/*"), "tables": ("iceberg/*/metadata/*",)}.get(right, ())
    found = _below(names, artefacts=[f"runs/*/{file}" for file in of_runs], lake=lake)
    tables = [iceberg.tables(names, *TABLES).may("GetTable")] if right == "tables" else []
    return [*tables, found.may("GetObject")] if found.reasons else tables


def _records(names: WorkloadNames) -> list[Statement]:
    platform, logs = names.platform, f"{trail_logs(names.platform)}/*"
    below = {"StringLike": {"s3:prefix": logs}}
    return [
        find_audit_chain(names),
        audit_links(platform, f"{names.workload}/*").may("GetObjectVersion"),
        resource("s3", platform.bucket_arn("audit"), where=below).may("ListBucket"),
        audit_links(platform, logs, "CloudTrail names its files by their time").may("GetObject"),
    ]


def _data(names: WorkloadNames) -> list[Statement]:
    platform = names.platform
    results = f"{platform.bucket_arn('lake')}/{QUERY_RESULTS}/*"
    tables = resource(
        "glue",
        platform.arn("glue", f"table/{platform.database}/*"),
        because="GetTables asks for all tables of the database",
    )
    return [
        _below(names, landing=["*"], lake=["*"], artefacts=["*"]).may("GetObject", "GetObjectVersion"),
        resource("cloudformation", platform.arn("cloudformation", f"stack/{platform.prefix}-*"), because=TEMPLATES).may(
            "GetTemplate"
        ),
        state_table.reviews(names).may("BatchGetItem"),
        (iceberg.database(names) + tables).may("GetDatabase", "GetTable", "GetTables"),
        resource("s3", results, because="Athena names a result by the id of its query").may(
            "GetObject", "GetObjectVersion", "PutObject"
        ),
        resource("s3", platform.arn("s3", f"{platform.prefix}-*"), because=PLACES).may("GetBucketLocation"),
        resource("athena", platform.arn("athena", f"workgroup/{platform.workgroup}")).may(
            "GetQueryExecution", "GetQueryResults", "GetWorkGroup", "StartQueryExecution", "StopQueryExecution"
        ),
    ]


def _drop(names: WorkloadNames) -> list[Statement]:
    return [
        _below(names, landing=["*"]).may("PutObject"),
        functions.invoke(f"{names.function_arn('prediction')}:{LIVE}"),
        state_table.append_audit(names),
    ]


def _train(names: WorkloadNames) -> list[Statement]:
    tagged = {"StringEquals": {f"aws:RequestTag/{DEPLOYMENT_TAG}": names.prefix}}
    search = ("AddTags", "CreateHyperParameterTuningJob")
    return [
        _all(names, "states", "stateMachine:{}-*train").may("StartExecution"),
        _below(names, artefacts=[f"runs/{TUNE}-*", "external/*"]).may("PutObject"),
        sagemaker_jobs.jobs(names, "HyperParameterTuning", where=tagged).may(*search),
        sagemaker_jobs.pass_roles(names, JOB_ROLE),
        # The month's budget has an attribute for each run, by its ARN.
        _attributes(names, "usd", "arn:*").may("UpdateItem"),
    ]


def _operate(names: WorkloadNames) -> list[Statement]:
    return [
        # None that trains, and not the teardown. `*e` are `release` and `score`: the policy is nearly full.
        _all(names, "states", *(f"stateMachine:{{}}-{one}" for one in ("ingest", "*e", "monitor", "upkeep"))).may(
            "StartExecution"
        ),
        _all(names, "states", "*:{}-*").may("DescribeStateMachineForExecution", "RedriveExecution", "StopExecution"),
        _queues(names).may(
            "ChangeMessageVisibility", "DeleteMessage", "ReceiveMessage", "SendMessage", "StartMessageMoveTask"
        ),
        functions.invoke(names.function_arn("withdrawal")),
        # The switch of automation, held drops and alarms; no pointer to a version.
        _attributes(names, "paused", "reason", "by", "since", "told", "status", "decided_by").may(
            "PutItem", "UpdateItem"
        ),
        state_table.append_audit(names),
    ]


def _approve(names: WorkloadNames) -> list[Statement]:
    only = {"StringEquals": {"sagemaker:ModelApprovalStatus": [APPROVED, REJECTED]}}
    return [replace(registry.versions(names), where=only).may("UpdateModelPackage")]


def _review(names: WorkloadNames) -> list[Statement]:
    return [
        state_table.reviews(names).may("BatchGetItem", "DeleteItem", "GetItem", "PutItem", "Query", "UpdateItem"),
        state_table.append_audit(names),
        _below(names, landing=["labels/review/*"]).may("PutObject"),
        # A person's own answers are shown beside the labels that came later.
        iceberg.tables(names, "labels").may("GetTable"),
        _below(names, lake=["captured/*", f"iceberg/{names.table('labels')}/*"]).may("GetObject"),
    ]


_RIGHTS: Mapping[Right, Any] = {
    "look": _look, "watch": _watch, "records": _records, "data": _data, "drop": _drop, "train": _train,
    "operate": _operate, "approve": _approve, "review": _review
}  # fmt: skip


def _all(names: WorkloadNames, service: str, *paths: str) -> Resource:
    """All of a kind whose names begin with the workload's prefix, `{}`, as no other workload's do."""
    arns = (names.platform.arn(service, path.replace("{}", names.prefix)) for path in paths)
    return resource(service, *arns, because="Whatever of this kind the workload has")


def _attributes(names: WorkloadNames, *which: str) -> Resource:
    """The workload's items of the table `state` by requests that name these attributes alone.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html"""
    own = state_table.own_items(names)
    return replace(own, where={**own.where, "ForAllValues:StringLike": {"dynamodb:Attributes": ["pk", "sk", *which]}})


def _queues(names: WorkloadNames) -> Resource:
    """The workload's queues, and the stage's dead letters."""
    return _all(names, "sqs", "{}-*", names.platform.queue(dead(EVENTS)))


def _jobs(names: WorkloadNames) -> Resource:
    """The jobs of the deployment, by their tag."""
    tagged = {"StringEquals": {f"aws:ResourceTag/{DEPLOYMENT_TAG}": names.prefix}}
    return resource(
        "sagemaker", names.platform.arn("sagemaker", "*-job/*"), where=tagged, because=sagemaker_jobs.HASHED
    )


def _below(names: WorkloadNames, **paths: Sequence[str]) -> Resource:
    """Objects below the workload's folder, by bucket."""
    arns = (
        f"{names.platform.bucket_arn(at)}/{names.workload}/{one}" for at, several in paths.items() for one in several
    )
    return resource("s3", *arns, because="What the workload has, whatever its name")


def _packed(statements: Sequence[Statement]) -> list[Statement]:
    """The same rights in few statements: an action concerns resources of its own service alone, so statements on
    different services under one condition are one."""
    reasons = {arn: why for one in statements for arn, why in one.reasons.items()}
    found: list[Statement] = []
    for one in merged(statements):
        other = next((each for each in found if _fit(each, one)), None)
        if other:
            found.remove(other)
            resources = dict.fromkeys((*other.resources, *one.resources))
            one = replace(one, actions=(*other.actions, *one.actions), resources=(*resources,))
        found.append(replace(one, reasons={arn: reasons[arn] for arn in one.resources if arn in reasons}))
    return found


def _fit(one: Statement, other: Statement) -> bool:
    services = [{action.partition(":")[0] for action in each.actions} for each in (one, other)]
    is_alike = ("*" in one.resources) == ("*" in other.resources) and one.conditions == other.conditions
    return is_alike and services[0].isdisjoint(services[1])
