"""What there is in an account, asked of each service's own API: by kind, the names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from botocore import xform_name

from localcloud.kernel.cloud import ACCOUNT
from millrace.console.local_cloud.local_cloud import PLATFORM, LocalCloud

Client = Callable[[str], Any]
Lister = Callable[[Client], list[str]]
GOING = ("InProgress", "Stopping")


def _listed(service: str, operation: str, key: str, name: str, **asked: Any) -> Lister:
    """All pages of a list operation; `name` is the member that names one, empty where it is the name itself."""

    def names(client: Client) -> list[str]:
        pages = client(service).get_paginator(operation).paginate(**asked)
        return sorted(str(one[name] if name else one) for page in pages for one in page[key])

    return names


def _rules(client: Client) -> list[str]:
    buses = [bus["Name"] for bus in client("events").list_event_buses()["EventBuses"]]
    return [rule["Name"] for bus in buses for rule in client("events").list_rules(EventBusName=bus)["Rules"]]


def _packages(client: Client) -> list[str]:
    groups = client("sagemaker").list_model_package_groups()["ModelPackageGroupSummaryList"]
    return [
        package["ModelPackageArn"]
        for group in groups
        for package in client("sagemaker").list_model_packages(ModelPackageGroupName=group["ModelPackageGroupName"])[
            "ModelPackageSummaryList"
        ]
    ]


def _tables(client: Client) -> list[str]:
    databases = [one["Name"] for one in client("glue").get_databases()["DatabaseList"]]
    return [one["Name"] for name in databases for one in client("glue").get_tables(DatabaseName=name)["TableList"]]


def _executions(client: Client) -> list[str]:
    machines = [one["stateMachineArn"] for one in client("stepfunctions").list_state_machines()["stateMachines"]]
    return [
        one["executionArn"]
        for arn in machines
        for one in client("stepfunctions").list_executions(stateMachineArn=arn, statusFilter="RUNNING")["executions"]
    ]


def _jobs(kind: str) -> Lister:
    lower = f"list_{xform_name(kind)}_jobs"
    return lambda client: [
        one[f"{kind}JobName"]
        for status in GOING
        for one in getattr(client("sagemaker"), lower)(StatusEquals=status)[f"{kind}JobSummaries"]
    ]


def _networks(client: Client) -> list[str]:
    """The account's own VPC is there before us."""
    return [one["VpcId"] for one in client("ec2").describe_vpcs()["Vpcs"] if not one["IsDefault"]]


def _in_networks(operation: str, key: str, name: str) -> Lister:
    return lambda client: [
        one[name] for one in getattr(client("ec2"), operation)()[key] if one["VpcId"] in _networks(client)
    ]


def _aliases(client: Client) -> list[str]:
    found = [one["AliasName"] for one in client("kms").list_aliases()["Aliases"]]
    return [name for name in found if not name.startswith("alias/aws/")]


def _mappings(client: Client) -> list[str]:
    return [one["UUID"] for one in client("lambda").list_event_source_mappings()["EventSourceMappings"]]


def _parameters(client: Client) -> list[str]:
    named = {"Key": "Name", "Option": "BeginsWith", "Values": [f"/{PLATFORM.prefix}/"]}
    return [one["Name"] for one in client("ssm").describe_parameters(ParameterFilters=[named])["Parameters"]]


def _roles(client: Client) -> list[str]:
    """Those of a bootstrap and AWS's own are no stack's."""
    pages = client("iam").get_paginator("list_roles").paginate()
    found = [one["RoleName"] for page in pages for one in page["Roles"]]
    return [name for name in found if name.startswith(PLATFORM.prefix)]


RETAINED: Mapping[str, Lister] = {
    "AWS::DynamoDB::Table": _listed("dynamodb", "list_tables", "TableNames", ""),
    "AWS::KMS::Key": _listed("kms", "list_keys", "Keys", "KeyId"),
    "AWS::S3::Bucket": lambda client: [one["Name"] for one in client("s3").list_buckets()["Buckets"]],
}
"""What outlives the stacks, by type."""
OF_STACKS: Mapping[str, Lister] = {
    "AWS::Athena::WorkGroup": lambda client: [
        one["Name"] for one in client("athena").list_work_groups()["WorkGroups"] if one["Name"] != "primary"
    ],
    "AWS::Budgets::Budget": lambda client: [
        one["BudgetName"] for one in client("budgets").describe_budgets(AccountId=ACCOUNT).get("Budgets", [])
    ],
    "AWS::CloudWatch::Alarm": _listed("cloudwatch", "describe_alarms", "MetricAlarms", "AlarmName"),
    "AWS::CloudWatch::CompositeAlarm": _listed("cloudwatch", "describe_alarms", "CompositeAlarms", "AlarmName"),
    "AWS::EC2::FlowLog": _listed("ec2", "describe_flow_logs", "FlowLogs", "FlowLogId"),
    "AWS::EC2::RouteTable": _in_networks("describe_route_tables", "RouteTables", "RouteTableId"),
    "AWS::EC2::SecurityGroup": _in_networks("describe_security_groups", "SecurityGroups", "GroupId"),
    "AWS::EC2::Subnet": _in_networks("describe_subnets", "Subnets", "SubnetId"),
    "AWS::EC2::VPC": _networks,
    "AWS::EC2::VPCEndpoint": _in_networks("describe_vpc_endpoints", "VpcEndpoints", "VpcEndpointId"),
    "AWS::ECR::Repository": _listed("ecr", "describe_repositories", "repositories", "repositoryName"),
    "AWS::Events::EventBus": lambda client: [
        one["Name"] for one in client("events").list_event_buses()["EventBuses"] if one["Name"] != "default"
    ],
    "AWS::Events::Rule": _rules,
    "AWS::Glue::Database": _listed("glue", "get_databases", "DatabaseList", "Name"),
    "AWS::Glue::Table": _tables,
    "AWS::IAM::Role": _roles,
    "AWS::KMS::Alias": _aliases,
    "AWS::Lambda::EventSourceMapping": _mappings,
    "AWS::Lambda::Function": _listed("lambda", "list_functions", "Functions", "FunctionName"),
    "AWS::Lambda::LayerVersion": _listed("lambda", "list_layers", "Layers", "LayerName"),
    "AWS::Logs::LogGroup": _listed("logs", "describe_log_groups", "logGroups", "logGroupName"),
    "AWS::SNS::Topic": _listed("sns", "list_topics", "Topics", "TopicArn"),
    "AWS::SQS::Queue": lambda client: list(client("sqs").list_queues().get("QueueUrls", [])),
    "AWS::SSM::Parameter": _parameters,
    "AWS::SageMaker::ModelPackageGroup": _listed(
        "sagemaker", "list_model_package_groups", "ModelPackageGroupSummaryList", "ModelPackageGroupName"
    ),
    "AWS::Scheduler::Schedule": _listed("scheduler", "list_schedules", "Schedules", "Name"),
    "AWS::StepFunctions::StateMachine": _listed("stepfunctions", "list_state_machines", "stateMachines", "name"),
}
"""What goes with the stacks, by type."""
OF_MACHINES: Mapping[str, Lister] = {
    "endpoint": _listed("sagemaker", "list_endpoints", "Endpoints", "EndpointName"),
    "endpoint configuration": _listed("sagemaker", "list_endpoint_configs", "EndpointConfigs", "EndpointConfigName"),
    "model": _listed("sagemaker", "list_models", "Models", "ModelName"),
    "model package": _packages,
    "scalable target": _listed(
        "application-autoscaling",
        "describe_scalable_targets",
        "ScalableTargets",
        "ResourceId",
        ServiceNamespace="sagemaker",
    ),
    "scaling policy": _listed(
        "application-autoscaling",
        "describe_scaling_policies",
        "ScalingPolicies",
        "PolicyName",
        ServiceNamespace="sagemaker",
    ),
    "alarm of a release": lambda client: [
        name for name in OF_STACKS["AWS::CloudWatch::Alarm"](client) if "-v" in name or name.startswith("TargetTr")
    ],
    "execution": _executions,
    "job": lambda client: [name for kind in ("Training", "Processing", "Transform") for name in _jobs(kind)(client)],
    "tuning job": _jobs("HyperParameterTuning"),
    "table of Iceberg": lambda client: [name for name in _tables(client) if name.endswith(("_rows", "_labels"))],
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


def inventory(cloud: LocalCloud, listers: Mapping[str, Lister], *, without: str) -> dict[str, list[str]]:
    """The names by kind, without those that hold the word `without`."""
    return {kind: [name for name in names(cloud.client) if without not in name] for kind, names in listers.items()}
