"""The steps of a teardown, in their order.

starters    switches off rules, schedules, and queues whose messages start machines. The schedules of functions too:
            `sweep` may start a release by way of `cleanup`, and `lateness` would report late labels each day
running     stops executions of the machines, and jobs: a job may have outlived its execution, or a person may have
            started it
endpoints   deletes the endpoints and their scaling, before the rest is deleted, since they cost by the hour
versions    deletes what releases and registrations made of versions: alarms, endpoint configurations, models and
            packages; the release pointers are cleared
tables      removes the Iceberg tables from the catalogue; their files stay in the lake
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from botocore import xform_name

from millrace.aws.deletion import delete_each, is_absent
from millrace.aws.endpoints import CHANGING, find_endpoint
from millrace.aws.errors import has_code, passed_over
from millrace.aws.released_models import ReleasedModels
from millrace.messages.teardown import TEARDOWN_ERROR
from millrace.names import DEPLOYMENT_TAG, MACHINES, STARTING_QUEUES, TABLES, WorkloadNames
from millrace.release.registry import Registry
from millrace.state.pointers import Pointers, ReleasePointers
from millrace.state.table import StateTable

KEPT = ("Name", "ScheduleExpression", "FlexibleTimeWindow", "Target")
OPTIONAL = ("GroupName", "ScheduleExpressionTimezone", "KmsKeyArn", "Description", "StartDate", "EndDate")
"""The keys of a schedule that an update must repeat: KEPT always, OPTIONAL if they are set.

An update replaces the whole schedule, so a key that it does not name is lost."""


def disable_starters(client: Callable[[str], Any], names: WorkloadNames) -> list[str]:
    """Switch all of them off. Returns those that were still on.

    Decisions are still written, and executions that end are still cleaned up."""
    machines = [names.machine_arn(machine) for machine in MACHINES]
    queues = [names.queue_arn(queue) for queue in STARTING_QUEUES]
    # Rules on AWS's events are on the account's default bus, rules on our own events on the stage's bus.
    return [
        *_rules(client("events"), [*machines, *queues], ("default", names.platform.bus)),
        *_schedules(client("scheduler"), names),
        *(found for queue in queues for found in _mappings(client("lambda"), queue)),
    ]


def _rules(events: Any, targets: list[str], buses: tuple[str, ...]) -> Iterator[str]:
    """Disable the rules that start our machines. They are found by their target, since names may share a prefix."""
    pages = events.get_paginator("list_rule_names_by_target")
    for bus in buses:
        for target in targets:
            listed = pages.paginate(TargetArn=target, EventBusName=bus)
            for rule in [name for page in listed for name in page["RuleNames"]]:
                if events.describe_rule(Name=rule, EventBusName=bus)["State"] == "ENABLED":
                    events.disable_rule(Name=rule, EventBusName=bus)
                    yield f"rule {rule}"


def _schedules(scheduler: Any, names: WorkloadNames) -> Iterator[str]:
    """Disable the schedules that start our machines or call our functions. Another workload's have a dash more."""
    machines = [names.machine_arn(machine) for machine in MACHINES]
    pages = scheduler.get_paginator("list_schedules").paginate(NamePrefix=f"{names.prefix}-", State="ENABLED")
    for one in [summary for page in pages for summary in page["Schedules"]]:
        target = one["Target"]["Arn"]
        if target in machines or target == names.function_arn(target.rpartition("-")[2]):
            # A list has summaries only, and an update must repeat the whole schedule.
            whole = scheduler.get_schedule(Name=one["Name"], GroupName=one["GroupName"])
            given = {name: whole[name] for name in OPTIONAL if name in whole}
            scheduler.update_schedule(State="DISABLED", **{name: whole[name] for name in KEPT}, **given)
            yield f"schedule {one['Name']}"


def _mappings(functions: Any, queue_arn: str) -> Iterator[str]:
    """Disable the event source mappings by which Lambda reads the queue. A mapping takes some time to be disabled."""
    pages = functions.get_paginator("list_event_source_mappings").paginate(EventSourceArn=queue_arn)
    for one in [mapping for page in pages for mapping in page["EventSourceMappings"]]:
        if one["State"] == "Enabled":
            functions.update_event_source_mapping(UUID=one["UUID"], Enabled=False)
        # "Disabling" counts as found, so that the machine looks again.
        if one["State"] != "Disabled":
            yield f"event source mapping {one['UUID']}"


GOING = ("InProgress", "Stopping")
# Tuning jobs first: in place of a training that ends, a tuning job starts another one.
JOBS = ("HyperParameterTuning", "Training", "Processing", "Transform")
"""The kinds of jobs, as in the names of SageMaker's calls. GOING has the statuses of a job that has not ended."""


def stop_running(client: Callable[[str], Any], names: WorkloadNames) -> list[str]:
    """Request every execution and job to stop. Returns those that still ran."""
    sagemaker = client("sagemaker")
    stopped = [*_stop_executions(client("stepfunctions"), names)]
    for kind in JOBS:
        stopped += _stop_jobs(sagemaker, names.prefix, kind)
    return stopped


def _stop_executions(states: Any, names: WorkloadNames) -> Iterator[str]:
    pages = states.get_paginator("list_executions")
    for machine in MACHINES:
        try:
            listed = list(pages.paginate(stateMachineArn=names.machine_arn(machine), statusFilter="RUNNING"))
        except states.exceptions.StateMachineDoesNotExist:
            continue
        for execution in [one for page in listed for one in page["executions"]]:
            states.stop_execution(executionArn=execution["executionArn"], error=TEARDOWN_ERROR, cause="torn down")
            yield f"execution {execution['executionArn']}"


def _stop_jobs(sagemaker: Any, deployment: str, kind: str) -> Iterator[str]:
    """Request every job of the kind to stop. Its name is a digest, so its tag says to which workload it belongs."""
    # boto3 has the calls `list_<verb>s` and `stop_<verb>`, for example `stop_hyper_parameter_tuning_job`.
    verb, name = f"{xform_name(kind)}_job", f"{kind}JobName"
    pages, tag = sagemaker.get_paginator(f"list_{verb}s"), {"Key": DEPLOYMENT_TAG, "Value": deployment}
    for status in GOING:
        for job in [one for page in pages.paginate(StatusEquals=status) for one in page[f"{kind}JobSummaries"]]:
            if tag not in sagemaker.list_tags(ResourceArn=job[f"{kind}JobArn"])["Tags"]:
                continue
            if status == "InProgress":
                with passed_over(has_code("ValidationException")):  # it has ended since it was listed
                    getattr(sagemaker, f"stop_{verb}")(**{name: job[name]})
            yield f"{xform_name(kind, ' ')} job {job[name]}"


def delete_endpoints(client: Callable[[str], Any], names: WorkloadNames) -> list[str]:
    """Delete the endpoints and their scaling. Returns what still existed."""
    # Scalable targets go first: one that outlives its endpoint cannot be told from the target of a new endpoint.
    found = list(_scaling(client("application-autoscaling"), names.endpoint))
    sagemaker = client("sagemaker")
    for name in (names.endpoint, names.challenger):
        if endpoint := find_endpoint(sagemaker, name):
            # One that is changing cannot be deleted yet, or is being deleted. The machine repeats the step.
            if endpoint["EndpointStatus"] not in CHANGING:
                sagemaker.delete_endpoint(EndpointName=name)
            found.append(f"endpoint {name}")
    return found


def _scaling(scaling: Any, endpoint: str) -> Iterator[str]:
    """Deregister the endpoint's scalable targets. Their policies and alarms go with them."""
    pages = scaling.get_paginator("describe_scalable_targets").paginate(ServiceNamespace="sagemaker")
    for target in [one for page in pages for one in page["ScalableTargets"]]:
        if target["ResourceId"].startswith(f"endpoint/{endpoint}/"):
            named = {key: target[key] for key in ("ServiceNamespace", "ResourceId", "ScalableDimension")}
            scaling.deregister_scalable_target(**named)
            yield f"scalable target {target['ResourceId']}"


AT_MOST = 100
"""The most deletions of one kind in one call. A function may run for minutes only, and the machine repeats the step."""


def delete_versions(client: Callable[[str], Any], names: WorkloadNames) -> list[str]:
    """Delete them, and return what still existed."""
    sagemaker = client("sagemaker")
    models = ReleasedModels(sagemaker=sagemaker, names=names)
    configs = delete_each(
        "endpoint config",
        (name for name, _ in models.configs()),
        sagemaker.delete_endpoint_config,
        parameter="EndpointConfigName",
        at_most=AT_MOST,
    )
    # `configs or …`: a configuration is found by its model, so models are deleted only when no configuration is left.
    return [
        *_delete_alarms(client("cloudwatch"), names),
        *(
            configs
            or delete_each("model", models.listed(), sagemaker.delete_model, parameter="ModelName", at_most=AT_MOST)
        ),
        *_packages(sagemaker, names.package_group),
        *_clear_pointers(ReleasePointers(StateTable(client("dynamodb"), names))),
    ]


def _delete_alarms(cloudwatch: Any, names: WorkloadNames) -> list[str]:
    """Delete the alarms of aborted releases and leftover alarms of the scaling: all that watch our endpoint."""
    pages = cloudwatch.get_paginator("describe_alarms")
    ours = {"Name": "EndpointName", "Value": names.endpoint}
    found = [
        alarm["AlarmName"]
        for prefix in (f"{names.prefix}-v", names.scaling_alarms)
        for page in pages.paginate(AlarmNamePrefix=prefix, AlarmTypes=["MetricAlarm"])
        for alarm in page["MetricAlarms"]
        if ours in _dimensions(alarm)
    ][:AT_MOST]
    if found:
        cloudwatch.delete_alarms(AlarmNames=found)
    return [f"alarm {name}" for name in found]


def _dimensions(alarm: Mapping[str, Any]) -> list[Any]:
    """The dimensions of the alarm's metric, or of all metrics that its metric math reads."""
    queried = [one["MetricStat"]["Metric"] for one in alarm.get("Metrics", []) if "MetricStat" in one]
    return [found for metric in (alarm, *queried) for found in metric.get("Dimensions", [])]


def _packages(sagemaker: Any, group: str) -> list[str]:
    found, call = Registry(sagemaker, group=group).arns(), sagemaker.delete_model_package
    with passed_over(is_absent):  # the group is gone already
        return delete_each("model package", found, call, parameter="ModelPackageName", at_most=AT_MOST)
    return []


def _clear_pointers(kept: ReleasePointers) -> list[str]:
    """Clear the pointers, since no version is live any more.

    The next deployment that uses the same table then begins with a first training."""
    pointers = kept.read()
    if pointers == Pointers(revision=pointers.revision):
        return []
    kept.move(Pointers(revision=pointers.revision))
    live = pointers.champion.version if pointers.champion else "none"
    return [f"pointers to version {live}"]


def unregister_tables(client: Callable[[str], Any], names: WorkloadNames) -> list[str]:
    """Unregister the tables. Returns those that were registered, each with the URI of its metadata file.

    By this file a table can be registered again."""
    found = []
    for table in TABLES:
        named = {"DatabaseName": names.platform.database, "Name": names.table(table)}
        with passed_over(is_absent):
            # Read the entry before it is deleted: it says where the metadata file is.
            kept = client("glue").get_table(**named)["Table"]
            client("glue").delete_table(**named)
            found.append(f"table {named['Name']} at {kept.get('Parameters', {}).get('metadata_location')}")
    return found
