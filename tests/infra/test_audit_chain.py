"""The stack `audit` in a local cloud: what functions record reaches the locked bucket, and nothing else does."""

from __future__ import annotations

import json
import time
from functools import cache
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.deploy import deploy
from localcloud.dynamodb.streams import Streams
from localcloud.iam.roles import as_role
from localcloud.kernel.cloud import Cloud
from millrace.console.environment import Environment
from millrace.console.queries.audit import audited_workloads, verify_chain
from millrace.infra.app import build
from millrace.infra.settings import settings_for
from millrace.messages.audit import AuditEvent, ResourcesRemoved
from millrace.names import AUDIT_CHAIN, Platform
from millrace.state.audit import append
from millrace.state.audit_chain import AuditChain, link_key
from tests import builders
from tests.localcloud.resources import allow, make_role
from tests.localcloud.waiting import until

PLATFORM = Platform(stage="local", account="123456789012", region="eu-west-1")
BUCKET, TABLE, WORKLOAD = PLATFORM.bucket("audit"), PLATFORM.audit_table, "electricity"
ROLE = PLATFORM.role_arn(AUDIT_CHAIN)

pytestmark = pytest.mark.night(
    "by day the functions and the template are tested by themselves; an audit record goes through six services here"
)


@pytest.fixture(scope="module")
def deployed(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The stacks that all workloads share, without any workload."""
    folder = tmp_path_factory.mktemp("shared") / "cdk.out"
    settings = settings_for("local", account=PLATFORM.account, region=PLATFORM.region)
    build(settings, workloads=[], outdir=str(folder)).synth()
    deploy(cloud.endpoint_url, folder)
    return Environment(platform=PLATFORM, client=cache(cloud.client))


def record(environment: Environment, cause: str, workload: str = WORKLOAD) -> str:
    removed = builders.record(AuditEvent.TEARDOWN_STEP, ResourcesRemoved(step="running", found=()), cause=cause)
    return append(environment.client("dynamodb"), table=TABLE, workload=workload, record=removed)


def rest(cloud: Cloud) -> None:
    until(lambda: not cloud.part(Streams).pending())


def test_the_story_of_an_audit(cloud: Cloud, deployed: Environment) -> None:
    """Records come, a record comes twice, the chain is whole; then somebody writes over one, and the chain says so."""
    sorts = [record(deployed, f"run-{n}") for n in range(3)]
    assert record(deployed, "run-0") == sorts[0]
    record(deployed, "run-0", workload="xray")
    rest(cloud)
    assert audited_workloads(deployed) == [WORKLOAD, "xray"]
    found = verify_chain(deployed, WORKLOAD, patience_s=0)
    assert (found.records, found.links, found.wrong) == (3, 3, ())
    item = {"pk": {"S": WORKLOAD}, "sk": {"S": sorts[1]}, "actor": {"S": "nobody"}}
    deployed.client("dynamodb").put_item(TableName=TABLE, Item=item)
    rest(cloud)
    where = [wrong.where for wrong in verify_chain(deployed, WORKLOAD, head=found.head).wrong]
    assert [place.partition(",")[0] for place in where] == ["link 2", "link 4"]
    assert cloud.denials == []


def test_while_the_function_fails_nothing_is_lost_and_afterwards_all_is_there(
    cloud: Cloud, deployed: Environment
) -> None:
    iam, name = deployed.client("iam"), PLATFORM.role(AUDIT_CHAIN)
    policy = iam.get_role_policy(RoleName=name, PolicyName="statements")["PolicyDocument"]
    less = [one for one in policy["Statement"] if "s3:PutObject" not in one["Action"]]
    _put_policy(iam, name, {**policy, "Statement": less})
    record(deployed, "first", workload="held")
    record(deployed, "second", workload="held")
    until(lambda: any(denial.action == "s3:PutObject" for denial in cloud.denials))
    missing = verify_chain(deployed, "held", patience_s=0).wrong
    assert [wrong.expected for wrong in missing] == ["a link of this record"] * 2
    _put_policy(iam, name, policy)
    rest(cloud)
    assert verify_chain(deployed, "held", patience_s=0).wrong == ()


def _put_policy(iam: Any, role: str, policy: Any) -> None:
    iam.put_role_policy(RoleName=role, PolicyName="statements", PolicyDocument=json.dumps(policy))


def test_nobody_else_writes_and_nothing_is_written_twice_or_hidden(cloud: Cloud, deployed: Environment) -> None:
    record(deployed, "one", workload="closed")
    rest(cloud)
    key, new = link_key("closed", 1), link_key("closed", 2)
    body = {"Bucket": BUCKET, "Body": b"{}", "ChecksumAlgorithm": "SHA256"}
    function = as_role(cloud, ROLE, "s3")
    with pytest.raises(ClientError, match="PreconditionFailed"):
        function.put_object(Key=key, IfNoneMatch="*", **body)
    with pytest.raises(ClientError, match="explicit deny in a resource-based policy"):
        function.put_object(Key=new, **body)
    # S3 under a role that may do everything.
    iam, name = deployed.client("iam"), f"administrator-{time.time_ns()}"
    other = as_role(cloud, make_role(iam, name, "lambda", allow("*")), "s3")
    with pytest.raises(ClientError, match="explicit deny in a resource-based policy"):
        other.put_object(Key=new, IfNoneMatch="*", **body)
    with pytest.raises(ClientError, match="explicit deny in a resource-based policy"):
        other.delete_object(Bucket=BUCKET, Key=key)
    (stored,) = AuditChain(deployed.client("s3"), bucket=BUCKET, workload="closed").links()
    with pytest.raises(ClientError, match="AccessDenied"):
        deployed.client("s3").delete_object(Bucket=BUCKET, Key=key, VersionId=stored.version_id)
    assert verify_chain(deployed, "closed", patience_s=0).wrong == ()
