"""What there is in an account, asked of each service's own API: by kind, the names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jmespath

from localcloud.kernel.cloud import ACCOUNT
from millrace.console.local_cloud.local_cloud import PLATFORM, LocalCloud

Client = Callable[[str], Any]
Lister = Callable[[Client], list[str]]


def _listed(service: str, operation: str, names: str, **asked: Any) -> Lister:
    """The names on all pages of a list operation; `names` is the expression of JMESPath that finds them."""

    def find(client: Client) -> list[str]:
        of = client(service)
        is_paged = of.can_paginate(operation)
        pages = of.get_paginator(operation).paginate(**asked) if is_paged else [getattr(of, operation)(**asked)]
        return sorted(name for page in pages for name in jmespath.search(names, page) or ())

    return find


def _each(of: Lister, service: str, operation: str, parameter: str, names: str, **asked: Any) -> Lister:
    """The same for each thing of another kind, which the parameter names."""
    return lambda client: [
        name for one in of(client) for name in _listed(service, operation, names, **{parameter: one}, **asked)(client)
    ]


def _ongoing(kind: str, operation: str) -> Lister:
    """SageMaker's jobs that run or stop."""
    going = f"{kind}JobSummaries[?contains(['InProgress', 'Stopping'], {kind}JobStatus)].{kind}JobName"
    return _listed("sagemaker", operation, going)


_networks = _listed("ec2", "describe_vpcs", "Vpcs[?!IsDefault].VpcId")


def _in_networks(operation: str, key: str, name: str) -> Lister:
    """The account's own VPC is there before us."""
    return lambda client: [
        found
        for network in _networks(client)
        for found in _listed("ec2", operation, f"{key}[?VpcId=='{network}'].{name}")(client)
    ]


BUSES = _listed("events", "list_event_buses", "EventBuses[].Name")
DATABASES = _listed("glue", "get_databases", "DatabaseList[].Name")
GROUPS = _listed("sagemaker", "list_model_package_groups", "ModelPackageGroupSummaryList[].ModelPackageGroupName")
MACHINES = _listed("stepfunctions", "list_state_machines", "stateMachines[].stateMachineArn")
TABLES = _each(DATABASES, "glue", "get_tables", "DatabaseName", "TableList[].Name")
RETAINED: Mapping[str, Lister] = {
    "AWS::DynamoDB::Table": _listed("dynamodb", "list_tables", "TableNames"),
    "AWS::KMS::Key": _listed("kms", "list_keys", "Keys[].KeyId"),
    "AWS::S3::Bucket": _listed("s3", "list_buckets", "Buckets[].Name"),
}
"""What outlives the stacks, by type."""
OF_STACKS: Mapping[str, Lister] = {
    "AWS::Athena::WorkGroup": _listed("athena", "list_work_groups", "WorkGroups[?Name!='primary'].Name"),
    "AWS::Budgets::Budget": _listed("budgets", "describe_budgets", "Budgets[].BudgetName", AccountId=ACCOUNT),
    "AWS::CloudWatch::Alarm": _listed("cloudwatch", "describe_alarms", "MetricAlarms[].AlarmName"),
    "AWS::CloudWatch::CompositeAlarm": _listed("cloudwatch", "describe_alarms", "CompositeAlarms[].AlarmName"),
    "AWS::EC2::FlowLog": _listed("ec2", "describe_flow_logs", "FlowLogs[].FlowLogId"),
    "AWS::EC2::RouteTable": _in_networks("describe_route_tables", "RouteTables", "RouteTableId"),
    "AWS::EC2::SecurityGroup": _in_networks("describe_security_groups", "SecurityGroups", "GroupId"),
    "AWS::EC2::Subnet": _in_networks("describe_subnets", "Subnets", "SubnetId"),
    "AWS::EC2::VPC": _networks,
    "AWS::EC2::VPCEndpoint": _in_networks("describe_vpc_endpoints", "VpcEndpoints", "VpcEndpointId"),
    "AWS::ECR::Repository": _listed("ecr", "describe_repositories", "repositories[].repositoryName"),
    "AWS::Events::EventBus": _listed("events", "list_event_buses", "EventBuses[?Name!='default'].Name"),
    "AWS::Events::Rule": _each(BUSES, "events", "list_rules", "EventBusName", "Rules[].Name"),
    "AWS::Glue::Database": DATABASES,
    "AWS::Glue::Table": TABLES,
    # Those of a bootstrap and AWS's own are no stack's.
    "AWS::IAM::ManagedPolicy": _listed("iam", "list_policies", "Policies[].PolicyName", Scope="Local"),
    "AWS::IAM::Role": _listed("iam", "list_roles", f"Roles[?starts_with(RoleName, '{PLATFORM.prefix}')].RoleName"),
    "AWS::KMS::Alias": _listed("kms", "list_aliases", "Aliases[?!starts_with(AliasName, 'alias/aws/')].AliasName"),
    "AWS::Lambda::EventSourceMapping": _listed("lambda", "list_event_source_mappings", "EventSourceMappings[].UUID"),
    "AWS::Lambda::Function": _listed("lambda", "list_functions", "Functions[].FunctionName"),
    "AWS::Lambda::LayerVersion": _listed("lambda", "list_layers", "Layers[].LayerName"),
    "AWS::Logs::LogGroup": _listed("logs", "describe_log_groups", "logGroups[].logGroupName"),
    "AWS::SNS::Topic": _listed("sns", "list_topics", "Topics[].TopicArn"),
    "AWS::SQS::Queue": _listed("sqs", "list_queues", "QueueUrls"),
    "AWS::SSM::Parameter": _listed(
        "ssm", "describe_parameters", f"Parameters[?starts_with(Name, '/{PLATFORM.prefix}/')].Name"
    ),
    "AWS::SageMaker::ModelPackageGroup": GROUPS,
    "AWS::Scheduler::Schedule": _listed("scheduler", "list_schedules", "Schedules[].Name"),
    "AWS::StepFunctions::StateMachine": MACHINES,
}
"""What goes with the stacks, by type."""
SCALING = ("application-autoscaling", "describe_scalable_targets", "describe_scaling_policies")
OF_MACHINES: Mapping[str, Lister] = {
    "endpoint": _listed("sagemaker", "list_endpoints", "Endpoints[].EndpointName"),
    "endpoint configuration": _listed("sagemaker", "list_endpoint_configs", "EndpointConfigs[].EndpointConfigName"),
    "model": _listed("sagemaker", "list_models", "Models[].ModelName"),
    "model package": _each(
        GROUPS,
        "sagemaker",
        "list_model_packages",
        "ModelPackageGroupName",
        "ModelPackageSummaryList[].ModelPackageArn",
    ),
    "scalable target": _listed(*SCALING[:2], "ScalableTargets[].ResourceId", ServiceNamespace="sagemaker"),
    "scaling policy": _listed(*SCALING[::2], "ScalingPolicies[].PolicyName", ServiceNamespace="sagemaker"),
    "alarm of a release": lambda client: [
        name for name in OF_STACKS["AWS::CloudWatch::Alarm"](client) if "-v" in name or name.startswith("TargetTr")
    ],
    "execution": _each(
        MACHINES,
        "stepfunctions",
        "list_executions",
        "stateMachineArn",
        "executions[].executionArn",
        statusFilter="RUNNING",
    ),
    "job": lambda client: [
        name
        for kind in ("Training", "Processing", "Transform")
        for name in _ongoing(kind, f"list_{kind.lower()}_jobs")(client)
    ],
    "tuning job": _ongoing("HyperParameterTuning", "list_hyper_parameter_tuning_jobs"),
    "table of Iceberg": lambda client: [name for name in TABLES(client) if name.endswith(("_rows", "_labels"))],
}
"""What no template knows."""
PARTS = (
    "AWS::CDK::Metadata",
    "AWS::CodeDeploy::Application",
    "AWS::CodeDeploy::DeploymentGroup",
    "AWS::EC2::SubnetRouteTableAssociation",
    "AWS::Lambda::Alias",
    "AWS::Lambda::Permission",
    "AWS::Lambda::Url",
    "AWS::Lambda::Version",
    "AWS::S3::BucketPolicy",
    "AWS::SNS::Subscription",
    "AWS::SNS::TopicPolicy",
    "AWS::SQS::QueuePolicy",
)
"""Types that are a part of another resource, and go with it."""


def delete_stacks(cloud: LocalCloud) -> None:
    """As `cdk destroy --all` does: those that depend on others first."""
    cloudformation = cloud.client("cloudformation")
    for stack in cloudformation.describe_stacks()["Stacks"]:
        if not stack["StackName"].endswith("-platform"):
            cloudformation.delete_stack(StackName=stack["StackName"])
    cloudformation.delete_stack(StackName=f"{PLATFORM.prefix}-platform")
    left = [stack["StackName"] for stack in cloudformation.describe_stacks()["Stacks"]]
    events = [cloudformation.describe_stack_events(StackName=stack)["StackEvents"] for stack in left]
    assert not left, [one for each in events for one in each if "FAILED" in one["ResourceStatus"]]
