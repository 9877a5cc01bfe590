"""What the local cloud does of what AWS does: one row for each thing that an assembly may hold.

*executed*: the behaviour that the platform relies on happens, by the same calls and with the same outcome.
*simulated*: it is accepted and answered, what it does on AWS happens only in part, or not at all; the sentence says so.
*not covered*: it is refused by name, at deployment or when it is called.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Status(StrEnum):
    EXECUTED = "executed"
    SIMULATED = "simulated"
    NOT_COVERED = "not covered"


Row = tuple[Status, str]

_DOES, _ACTS, _LACKS = Status.EXECUTED, Status.SIMULATED, Status.NOT_COVERED

RESOURCE_TYPES: Mapping[str, Row] = {
    "AWS::ApplicationAutoScaling::ScalableTarget": (_DOES, "Instances of a variant are added within its bounds."),
    "AWS::ApplicationAutoScaling::ScalingPolicy": (
        _ACTS,
        "Target tracking on the variant's requests; no alarms are made.",
    ),
    "AWS::Athena::WorkGroup": (_ACTS, "Kept with its settings; a query is accepted and answered, no SQL is run."),
    "AWS::CDK::Metadata": (_DOES, "Says nothing on AWS either."),
    "AWS::CloudWatch::Alarm": (_DOES, "Evaluated with percentiles and metric math; its actions and events are sent."),
    "AWS::CloudWatch::CompositeAlarm": (
        _DOES,
        "Its rule follows the alarms that it names; actions are never suppressed.",
    ),
    "AWS::CloudWatch::Dashboard": (_ACTS, "Kept as text; nothing draws it."),
    "AWS::DynamoDB::Table": (
        _DOES,
        "Items, conditions and transactions; a passed TTL deletes nothing, backups are a switch.",
    ),
    "AWS::EC2::FlowLog": (_ACTS, "Kept; no packet passes the network, so nothing is logged."),
    "AWS::EC2::InternetGateway": (_ACTS, "Kept; no packet passes it."),
    "AWS::EC2::NetworkAcl": (_ACTS, "Kept; no packet is filtered."),
    "AWS::EC2::NetworkAclEntry": (_ACTS, "Kept; no packet is filtered."),
    "AWS::EC2::Route": (_ACTS, "Kept; no packet is routed."),
    "AWS::EC2::RouteTable": (_ACTS, "Kept; no packet is routed."),
    "AWS::EC2::SecurityGroup": (_ACTS, "Kept; no packet is filtered."),
    "AWS::EC2::SecurityGroupEgress": (_ACTS, "Kept; no packet is filtered."),
    "AWS::EC2::SecurityGroupIngress": (_ACTS, "Kept; no packet is filtered."),
    "AWS::EC2::Subnet": (_ACTS, "Kept; jobs run as processes of the host, outside of any subnet."),
    "AWS::EC2::SubnetNetworkAclAssociation": (_ACTS, "Kept; no packet is filtered."),
    "AWS::EC2::SubnetRouteTableAssociation": (_ACTS, "Kept; no packet is routed."),
    "AWS::EC2::VPC": (_ACTS, "Kept; jobs without network come from their own isolation, not from it."),
    "AWS::EC2::VPCEndpoint": (_ACTS, "Kept; its policy is not asked."),
    "AWS::EC2::VPCGatewayAttachment": (_ACTS, "Kept; no packet passes it."),
    "AWS::ECR::Repository": (
        _ACTS,
        "Kept without images: what a Dockerfile copies is what runs, on the host's Python.",
    ),
    "AWS::Events::Archive": (_ACTS, "Kept; a replay is not started."),
    "AWS::Events::EventBus": (_DOES, "Events reach the rules of their bus."),
    "AWS::Events::EventBusPolicy": (_DOES, "Asked when a role puts events on the bus."),
    "AWS::Events::Rule": (
        _DOES,
        "Patterns, schedules, input transformers, retries and dead letters; retries are few and fast.",
    ),
    "AWS::Glue::Database": (_DOES, "Kept, with tables that have versions."),
    "AWS::Glue::Table": (_DOES, "Kept; an update of an old version is refused, as Iceberg commits need it."),
    "AWS::IAM::ManagedPolicy": (_DOES, "Asked at each call of a role that has it."),
    "AWS::IAM::Policy": (_DOES, "Asked at each call of a role that has it."),
    "AWS::IAM::Role": (
        _DOES,
        "Assumed by functions, machines, jobs and schedules; each of their calls is decided by it.",
    ),
    "AWS::KMS::Alias": (_DOES, "Names its key."),
    "AWS::KMS::Key": (
        _ACTS,
        "Its policy decides who uses it; S3, SQS and SNS ask it, but bytes at rest are not encrypted.",
    ),
    "AWS::Lambda::Alias": (_DOES, "Names its version; weights between two versions are kept, not drawn."),
    "AWS::Lambda::EventInvokeConfig": (_DOES, "Retries and destinations of asynchronous invocations."),
    "AWS::Lambda::EventSourceMapping": (
        _DOES,
        "Queues are polled in batches, with failures of single items; other sources are refused.",
    ),
    "AWS::Lambda::Function": (
        _DOES,
        "The staged bundle in a process under its role, time and memory limits kept; host's Python and architecture.",
    ),
    "AWS::Lambda::LayerVersion": (_DOES, "On the path of the function."),
    "AWS::Lambda::Permission": (_DOES, "Asked when a service of AWS invokes the function."),
    "AWS::Lambda::Url": (_ACTS, "Kept; the address answers nobody."),
    "AWS::Lambda::Version": (_DOES, "Code and settings as they were when it was published."),
    "AWS::Logs::LogGroup": (_ACTS, "Kept; a function's lines go to a file of the workspace, retention is not kept."),
    "AWS::Logs::MetricFilter": (_ACTS, "Kept; metrics come from the embedded metric format only."),
    "AWS::Logs::ResourcePolicy": (_ACTS, "Kept; no service writes to a log group."),
    "AWS::S3::Bucket": (
        _DOES,
        "Versions, events, tags and locks work; lifecycle, access logs and encryption are settings only.",
    ),
    "AWS::S3::BucketPolicy": (_DOES, "Asked at each call of a role, conditions included."),
    "AWS::SNS::Subscription": (_DOES, "Queues and functions receive; mail and telephone do not."),
    "AWS::SNS::Topic": (_DOES, "Messages reach the subscriptions."),
    "AWS::SNS::TopicPolicy": (_DOES, "Asked when a role or a service publishes."),
    "AWS::SQS::Queue": (
        _DOES,
        "Visibility and delays by the cloud's clock, dead letters after the last attempt; retention is not kept.",
    ),
    "AWS::SQS::QueuePolicy": (_DOES, "Asked when a role or a service sends."),
    "AWS::SSM::Parameter": (_DOES, "Kept, with versions."),
    "AWS::SageMaker::Endpoint": (
        _DOES,
        "A process per instance that answers HTTP, with canary and rollback by alarms.",
    ),
    "AWS::SageMaker::EndpointConfig": (_DOES, "Kept; serverless, asynchronous and shadow variants are refused."),
    "AWS::SageMaker::Model": (_DOES, "What endpoints and batch transforms start."),
    "AWS::SageMaker::ModelPackageGroup": (_DOES, "Versions with metadata, approval and events."),
    "AWS::Scheduler::Schedule": (
        _DOES,
        "Fires under its role by the cloud's clock; a flexible window fires at its start.",
    ),
    "AWS::Scheduler::ScheduleGroup": (_DOES, "Holds its schedules."),
    "AWS::StepFunctions::StateMachine": (
        _DOES,
        "Interpreted, each call under the machine's role; Express machines run as Standard.",
    ),
}

STATE_TYPES: Mapping[str, Row] = {
    "Pass": (_DOES, "Passes its result on."),
    "Task": (_DOES, "Makes its call with the machine's role; see the calls."),
    "Choice": (_DOES, "Every comparison of JSONPath machines."),
    "Wait": (_DOES, "By the cloud's clock: a move of the clock ends it."),
    "Succeed": (_DOES, "Ends the execution."),
    "Fail": (_DOES, "Ends the execution with error and cause."),
    "Parallel": (_DOES, "Branches run side by side; one that fails stops the others."),
    "Map": (_DOES, "Inline, with MaxConcurrency."),
    "Map (DISTRIBUTED)": (_LACKS, "Refused by name: moto's never fails and knows no batches."),
    "Retry": (_DOES, "Intervals, backoff, jitter and limits."),
    "Catch": (_DOES, "Error names as AWS gives them."),
    "JSONata": (_LACKS, "Machines are written in JSONPath."),
}
"""Types of states, and what hangs on states."""

INTRINSIC_FUNCTIONS: Mapping[str, Row] = dict.fromkeys(
    (
        "States.Array",
        "States.ArrayContains",
        "States.ArrayGetItem",
        "States.ArrayLength",
        "States.ArrayPartition",
        "States.ArrayRange",
        "States.ArrayUnique",
        "States.Base64Decode",
        "States.Base64Encode",
        "States.Format",
        "States.Hash",
        "States.JsonMerge",
        "States.JsonToString",
        "States.MathAdd",
        "States.MathRandom",
        "States.StringSplit",
        "States.StringToJson",
        "States.UUID",
    ),
    (_DOES, "Evaluated by moto's interpreter."),
)
"""Intrinsic functions of state machines."""

TASKS: Mapping[str, Row] = {
    "lambda:invoke": (_DOES, "The function runs; its error type is the error's name."),
    "lambda:invoke.waitForTaskToken": (_DOES, "Waits for SendTaskSuccess or SendTaskFailure."),
    "sqs:sendMessage": (_DOES, "The message is sent."),
    "sqs:sendMessage.waitForTaskToken": (_DOES, "Waits for SendTaskSuccess or SendTaskFailure."),
    "sns:publish": (_DOES, "The message is published."),
    "events:putEvents": (_DOES, "The events reach the bus; a failed entry fails the state."),
    "states:startExecution": (_DOES, "The other machine starts."),
    "states:startExecution.sync": (_DOES, "Waits for the end; its output is text."),
    "states:startExecution.sync:2": (_DOES, "Waits for the end; its output is JSON."),
    "dynamodb:getItem": (_DOES, "The item is read."),
    "dynamodb:putItem": (_DOES, "The item is put, conditions kept."),
    "dynamodb:updateItem": (_DOES, "The item is updated, conditions kept."),
    "dynamodb:deleteItem": (_DOES, "The item is deleted, conditions kept."),
    "sagemaker:createTrainingJob": (_DOES, "The job starts as a process with the container's contract."),
    "sagemaker:createTrainingJob.sync": (_DOES, "Waits for the job; a stopped execution stops it."),
    "sagemaker:createProcessingJob": (_DOES, "The job starts as a process with the container's contract."),
    "sagemaker:createProcessingJob.sync": (_DOES, "Waits for the job; a stopped execution stops it."),
    "sagemaker:createTransformJob": (_DOES, "The job starts as a process with the container's contract."),
    "sagemaker:createTransformJob.sync": (_DOES, "Waits for the job; a stopped execution stops it."),
    "sagemaker:createModel": (_DOES, "The model is made."),
    "sagemaker:createEndpointConfig": (_DOES, "The configuration is made."),
    "sagemaker:createEndpoint": (_DOES, "The endpoint's processes start."),
    "sagemaker:updateEndpoint": (_DOES, "Blue and green, canary, rollback by alarms."),
}
"""Optimized integrations, `service:action` with its pattern; `aws-sdk:` integrations are looked up among the calls."""

SERVICES: Mapping[str, Row] = {
    "application-autoscaling": (
        _ACTS,
        "Targets and policies are kept; variants follow their requests, other targets do not.",
    ),
    "athena": (_ACTS, "Executions are kept and succeed; no SQL is run."),
    "cloudwatch": (_DOES, "Metrics, metric math and alarms; no Metrics Insights, nothing ages out."),
    "dynamodb": (_DOES, "By moto's tables."),
    "ec2": (_ACTS, "The network is kept; no packet passes it."),
    "ecr": (_ACTS, "Repositories are kept, without images."),
    "events": (_DOES, "Events reach their targets; archives are not replayed."),
    "glue": (_DOES, "The catalogue, with its check of versions; no job runs."),
    "iam": (_DOES, "Roles and policies decide every call of a role."),
    "kms": (_ACTS, "Keys, policies and data keys; what S3, SQS and SNS keep is not encrypted by them."),
    "lambda": (_DOES, "Invoked synchronously and asynchronously, with retries and destinations."),
    "logs": (_ACTS, "Groups, streams and events are kept; queries and retention are not."),
    "s3": (_DOES, "Objects with versions, parts, tags, locks and events."),
    "sagemaker": (_DOES, "Jobs, endpoints and the registry as processes and records; the host's hardware."),
    "scheduler": (_DOES, "Schedules fire by the cloud's clock."),
    "sns": (_DOES, "Messages reach queues and functions."),
    "sqs": (_DOES, "Messages, visibility, delays, dead letters."),
    "ssm": (_DOES, "Parameters with versions."),
    "states": (_DOES, "Executions, histories, task tokens, redrive."),
    "sts": (_DOES, "Temporary keys; their end is not enforced."),
    "xray": (_ACTS, "Accepted from a policy; no daemon runs, so no trace is sent."),
}
"""The services that identity policies name, by their prefix in actions."""

CALLS: Mapping[str, Row] = {
    "events:PutRule": (_DOES, "Also what `.sync` tasks ask for on AWS; here they need no rule."),
    "events:StartReplay": (_LACKS, "Archives are not replayed."),
    "logs:StartQuery": (_LACKS, "No query language for logs."),
    "sagemaker:CreateHyperParameterTuningJob": (_LACKS, "No tuning jobs."),
    "sagemaker:CreatePipeline": (_LACKS, "State machines do this work."),
    "sagemaker:ListTags": (_DOES, "Tags of jobs, models and endpoints."),
    "sagemaker:InvokeEndpoint": (_DOES, "Answered by the variant's process, weights kept."),
    "sagemaker:InvokeEndpointAsync": (_LACKS, "Asynchronous endpoints are refused."),
}
"""Single calls that differ from their service."""

POLICY_FEATURES: Mapping[str, Row] = {
    "Action": (_DOES, "Matched with wildcards, in any case."),
    "NotAction": (_DOES, "Matched with wildcards, in any case."),
    "Resource": (_DOES, "Matched against the resource that the call names, with wildcards and policy variables."),
    "NotResource": (_DOES, "Matched against the resource that the call names."),
    "Principal": (_DOES, "Roles, sessions, the account and services."),
    "NotPrincipal": (_LACKS, "An Allow with it is void, a Deny with it bites."),
    "Deny": (_DOES, "Wins over every Allow."),
    "identity policy": (_DOES, "Asked at every call with a role's keys; the operator's keys are not asked."),
    "trust policy": (_DOES, "Asked by the cloud when a service assumes the role."),
    "permissions boundary": (_DOES, "Limits what the role's policies allow."),
    "resource policy AWS::S3::BucketPolicy": (_DOES, "Asked at each call of a role."),
    "resource policy AWS::SQS::QueuePolicy": (_DOES, "Asked at each call of a role and each delivery of a service."),
    "resource policy AWS::SNS::TopicPolicy": (_DOES, "Asked at each call of a role and each delivery of a service."),
    "resource policy AWS::Events::EventBusPolicy": (_DOES, "Asked when a role puts events."),
    "resource policy AWS::Lambda::Permission": (_DOES, "Asked at each delivery of a service."),
    "resource policy AWS::KMS::Key": (
        _DOES,
        "Asked at each call of a role, also what S3, SQS and SNS ask for the caller.",
    ),
    "resource policy AWS::ECR::Repository": (_ACTS, "Kept; no image is pulled."),
    "resource policy AWS::Logs::ResourcePolicy": (_ACTS, "Kept; no service writes to a log group."),
    "resource policy AWS::EC2::VPCEndpoint": (_ACTS, "Kept; no request passes the endpoint."),
    "iam:PassRole": (_DOES, "Asked for each role that a call hands to a service, with `iam:PassedToService`."),
}
"""Elements of policies; condition keys and operators are looked up where they are decided."""
