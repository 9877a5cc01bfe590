"""What each role of people may: every command and every act of the page, with the policies of a deployed stage.

Somebody who may do all does each thing once. What was asked of AWS meanwhile is decided again by the policy of each
role: whoever may do it by `millrace.console.people` is refused nothing that it needs, everybody else is."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import typer
from botocore.exceptions import ClientError
from typer.testing import CliRunner

from localcloud.iam.decision import Case, why_not
from localcloud.iam.policies import Request
from localcloud.iam.recording import read
from millrace.console import people
from millrace.console.cli.app import app
from millrace.console.environment import as_role, local_environment
from millrace.console.local_cloud.local_cloud import PLATFORM
from millrace.console.people import BEYOND, HERE, NEEDS, PAGES
from millrace.console.stages import ACT_AS
from millrace.console.web.acts import ACTS
from millrace.console.web.app import JUDGEMENTS, console_app
from millrace.errors import EnvironmentNotFoundError
from millrace.people import ROLES, SLUG, WORKLOAD, Role, may
from tests.electricity import AGAINST_BASE_RATE, KNOWN, NAMES, Electricity, live_electricity, sample
from tests.end_to_end.callers import create_role, typed
from tests.end_to_end.conftest import control, recording

pytestmark = pytest.mark.night("by day the documents of people's policies alone")
POLICY = """
policy: {automate: {confidence: 0.98}, held_out: 0.3, review: {hours: 48}}
"""
EXECUTION, STATE, DEAD = NAMES.execution_arn("train", "a"), PLATFORM.table_arn(PLATFORM.state_table), "drops-dead"
STORY = (
    "status; versions; runs; alarms; monitor; cost; audit list; audit verify --workload electricity; held; dead; "
    "consumers; labels; logs; plan; contract diff; card 1 --output {folder}/card.html; bom 1; verify 1; validate 1; "
    "dossier 1 --output {folder}/dossier; approve 1 --reason 'as good' --wait; live; predict {folder}/asked.parquet; "
    "drop {folder}/asked.parquet --feed scoring --wait; decisions --labels; report --output {folder}/report; "
    "query 'select count(*) from electricity_rows'; automate --pause --reason 'to look'; train --wait; retrain --wait; "
    "monitor --start; tune --parameter learning_rate=0.005; show {train}; why {item}; review --answer {item} up; "
    "rerun --new {score}; refuse 2 --reason 'not on the new wards'; release 2 --reason 'it was the labels' --wait; "
    "rollback --restore --reason 'it stood still' --wait; data log; data revert {version} --reason wrong; "
    "contract rewrite --reason narrower --preview; access; incident open --reason 'refuses all' --serious --wait; "
    "incident list; incident close {incident} --reason 'it was the labels' --wait"
)
"""Each command as it is typed, in the order of a story. Names in braces are looked up when it is their turn."""
ASKED: Mapping[str, tuple[str, str]] = {
    "quarantine": ("s3:GetObject", f"{PLATFORM.bucket_arn('lake')}/electricity/quarantine/feed=training/a.parquet"),
    "register": ("s3:PutObject", f"{PLATFORM.bucket_arn('artefacts')}/electricity/external/a"),
    "pull": ("states:StartExecution", NAMES.machine_arn("train")),
    "alarms --acknowledge": ("dynamodb:PutItem", STATE),
    "held --accept": ("states:StartExecution", NAMES.machine_arn("ingest")),
    "held --refuse": ("dynamodb:UpdateItem", STATE),
    "dead --redrive": ("sqs:StartMessageMoveTask", NAMES.queue_arn(DEAD)),
    "dead --delete": ("sqs:DeleteMessage", NAMES.queue_arn(DEAD)),
}
"""What is asked for by commands that the story has no occasion for: the call that they are about."""
UNTOLD: Mapping[str, set[str]] = {
    "status": {"glue:GetTable", "s3:GetObject", "dynamodb:Query", "sqs:ListQueues"},
    "logs": {"logs:FilterLogEvents"},
    "verify": {"s3:GetObject"},
    "report": {"s3:ListBucket", "sqs:ListQueues", "lambda:ListFunctions", "sagemaker:ListProcessingJobs",
               "sagemaker:ListTrainingJobs", "sagemaker:ListTransformJobs", "sagemaker:DescribeProcessingJob",
               "sagemaker:DescribeTransformJob"},
    "release": {"sagemaker:UpdateModelPackage"},
    "why": {"s3:ListBucket"},
    "drop": {"s3:ListBucket"},
    "review": {"states:ListExecutions"}
}  # fmt: skip
"""What a command goes on without: freshness, what the last weeks cost, that a refused version waits for an approver
again, the logs of all jobs of the account, a version's sample of rows, that an object is not there, that a workload is
deployed."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """The stage after the story."""

    cloud: Electricity
    asked: Mapping[str, list[Case]]
    """What each command asked for."""
    policies: Mapping[Role, str]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("people")
    changes = {"rollout:\n": "rollout:\n  approval: person\n", **AGAINST_BASE_RATE}
    (folder / "cdk.json").write_text('{"context": {"stages": {"local": {"access_audit": true}}}}')
    with recording(), live_electricity(folder, added=POLICY, changes=changes) as cloud:
        pq.write_table(sample(KNOWN, 24).drop_columns(["class"]), folder / "asked.parquet")
        create_role(cloud, "everybody", {"AWS": PLATFORM.account}, **{"*": "*"})
        asked = {command_of(line): asked_for(cloud, filled(line, folder)) for line in STORY.split("; ")}
        yield Stage(cloud=cloud, asked=asked, policies={role: deployed_policy(cloud, role) for role in ROLES})


def deployed_policy(cloud: Electricity, role: Role) -> str:
    arn = PLATFORM.arn("iam", f"policy/{PLATFORM.role(role)}")
    found = cloud.client("iam").get_policy_version(PolicyArn=arn, VersionId="v1")
    return json.dumps(found["PolicyVersion"]["Document"])


def command_of(line: str) -> str:
    """The catalogue's name of a command with options."""
    return max((one for one in NEEDS if {*one.split()} <= {*line.split()}), key=len)


def filled(line: str, folder: Path) -> str:
    for name, find in {
        "train": lambda: typed("runs", "--machine", "train")[0]["run"],
        "score": lambda: typed("runs", "--machine", "score")[0]["run"],
        "item": lambda: typed("review", "--list")[0]["id"],
        "incident": lambda: typed("incident", "list")[0]["details"]["incident"],
        "version": lambda: typed("data", "log")[0]["version"],
        "folder": lambda: str(folder),
    }.items():
        line = line.replace(f"{{{name}}}", find()) if f"{{{name}}}" in line else line
    return line


def acting(who: str, *words: str) -> Any:
    """The command, in a session of this role."""
    return CliRunner().invoke(app, [*words], env={ACT_AS: who})


def asked_for(cloud: Electricity, line: str) -> list[Case]:
    """What the command asks for that somebody types who may do everything. It does what it was typed for."""
    control(cloud, "permissions", {"on": True})
    done = acting("everybody/ann", *shlex.split(line))
    assert done.exit_code == 0, (line, done.output, done.exception)
    found = [one.case for one in read(control(cloud, "permissions")) if one.role == "everybody"]
    assert found, line
    cloud.rest()
    return found


def refused(stage: Stage, role: Role, command: str) -> set[str]:
    """The actions that the role's policy refuses, of those that the command takes."""
    own = {f"aws:principaltag/{WORKLOAD}": (NAMES.workload,), f"aws:principaltag/{SLUG}": (NAMES.slug,)}
    if command in ASKED:
        context = {"dynamodb:leadingkeys": (NAMES.workload,), "dynamodb:attributes": ("pk", "sk", "by", "reason")}
        action, arn = ASKED[command]
        cases = [Case(request=Request(action=action, resources=(arn,), context=context), of_role=())]
    else:
        cases = stage.asked[command]
    return {
        one.request.action
        for one in cases
        if why_not(
            replace(
                one,
                request=replace(one.request, context={**one.request.context, **own}),
                of_role=(stage.policies[role],),
            )
        )
    }


@pytest.mark.parametrize("command", NEEDS)
def test_each_command_is_for_the_roles_that_the_catalogue_names(stage: Stage, command: str) -> None:
    for role in ROLES:
        without = refused(stage, role, command) - UNTOLD.get(command, set())
        assert bool(without) is not may(role, NEEDS[command]), (role, without)


def test_nothing_is_left_out() -> None:
    """Each command, page and act has its place in the catalogue, and each right a role."""
    group = typer.main.get_group(app)
    commands = {
        f"{name} {inner}".strip()
        for name, one in group.commands.items()
        for inner in (getattr(one, "commands", None) or [""])
    }
    told = {command.split(" --")[0] for command in NEEDS} | {*HERE.split(", "), *BEYOND.split()}
    assert commands == told
    assert {*map(command_of, STORY.split("; "))} | ASKED.keys() == NEEDS.keys()
    routes = {route.path for route in console_app(local_environment(Electricity(endpoint_url="", secret="")))[0].routes}
    pages = routes - {"/static/{script}", "/{workload}/acts/{act}"} | ACTS.keys() | JUDGEMENTS.keys()
    assert pages >= PAGES.keys()
    assert {*map(people.command_of, pages)} <= NEEDS.keys()


VERIFY = "audit verify --workload electricity"
REFUSED = {
    "scientist": ["automate --pause --reason x", "review --list", VERIFY, "access", "incident open --reason x"],
    "operator": ["train", "decisions", "card 1", VERIFY],
    "approver": ["train", "retrain", "rollback --restore --reason x", "decisions", "query 'select 1'"],
    "reviewer": ["runs", "audit list", "decisions", "train"],
    "auditor": ["decisions", "query 'select 1'", "train", "incident open --reason x", "drop {} --feed scoring"],
}


@pytest.mark.parametrize("role", ROLES)
def test_who_may_not_is_told_who_may(role: Role, stage: Stage, tmp_path: Path) -> None:
    """The commands themselves, in a session of the role: nothing happens, and one sentence says why."""
    pq.write_table(sample(KNOWN, 1), tmp_path / "one.parquet")
    before = len(typed("runs"))
    for line in REFUSED[role]:
        words = shlex.split(line.format(tmp_path / "one.parquet"))
        done = acting(f"{role}/bob", *words)
        who = f"assumed-role/{role}-electricity/bob is not authorized to perform"
        assert (done.exit_code, who in str(done.exception)) == (1, True), (line, done.exception)
        assert done.exception.__notes__[0].startswith(f"`millrace {words[0]}"), line
    assert len(typed("runs")) == before


def test_five_people_work_together(stage: Stage, tmp_path: Path) -> None:
    """Each does by the commands what the role is for, and the audit says who it was."""
    pq.write_table(sample(KNOWN + 24, 24), tmp_path / "more.parquet")

    def act(who: str, *words: str) -> Any:
        done = acting(who, *words)
        assert done.exit_code == 0, (words, done.output, done.exception)
        stage.cloud.rest()
        return done.stdout

    act("scientist/ann", "query", "select count(*) from electricity_rows")
    act("scientist/ann", "train", "--wait")
    act("scientist/ann", "drop", str(tmp_path / "more.parquet"), "--feed", "training", "--wait")
    act("scientist/ann", "report", "--output", str(tmp_path / "report"))
    waiting = next(one["version"] for one in typed("versions") if one["status"] == "waits")
    refusal = str(acting("operator/cid", "approve", waiting, "--reason", "it works").exception)
    assert "operator-electricity/cid is not authorized to perform: sagemaker:UpdateModelPackage" in refusal
    act("approver/ben", "approve", waiting, "--reason", "as good", "--wait")
    act("operator/cid", "rollback", "--reason", "slower", "--wait")
    act("operator/cid", "automate", "--resume", "--reason", "looked at")
    act("operator/cid", "incident", "open", "--reason", "slower", "--wait")
    item = typed("review", "--list")[0]["id"]
    act("reviewer/dan", "review", "--answer", item, "up")
    act("reviewer/dan", "review", "--mine")
    records = json.loads(act("auditor/eve", "audit", "list", "--json", "--limit", "0"))
    act("auditor/eve", "audit", "verify", "--workload", "electricity")
    act("auditor/eve", "verify", waiting)
    for who in ("scientist-electricity/ann", "reviewer-electricity/dan"):
        reads = json.loads(act("auditor/eve", "access", "--person", who, "--limit", "0", "--json"))
        assert {one["who"] for one in reads} == {who}
        assert "table rows" in {one["kind"] for one in reads}
    said = {one["event"]: one["details"].get("by", "") for one in reversed(records)}
    people = {
        "release.approved": "approver-electricity/ben",
        "release.rolled_back": "operator-electricity/cid",
        "automation.resumed": "operator-electricity/cid",
        "incident.opened": "operator-electricity/cid",
        "review.answered": "reviewer-electricity/dan",
    }
    assert {event: said[event].partition("assumed-role/")[2] for event in people} == people


@pytest.mark.parametrize(("role", "is_done"), [("operator", True), ("reviewer", False)])
def test_a_page_acts_by_the_rights_of_who_reads_it(role: Role, is_done: bool, stage: Stage) -> None:
    theirs = as_role(local_environment(stage.cloud), f"{role}/fay", "electricity")
    with nullcontext() if is_done else pytest.raises(ClientError, match="reviewer-electricity/fay is not authorized"):
        ACTS["pause"].do(theirs, NAMES, "", "to look")


def test_nobody_makes_a_version_live_past_the_machine(stage: Stage) -> None:
    """Who may write some items of the workload cannot write its pointers."""
    for role in ("scientist", "operator"):
        theirs = as_role(local_environment(stage.cloud), f"{role}/fay", "electricity")
        champion = {":v": {"M": {}}}
        with pytest.raises(ClientError, match="not authorized to perform: dynamodb:UpdateItem"):
            theirs.client("dynamodb").update_item(
                TableName=PLATFORM.state_table, Key={"pk": {"S": "electricity"}, "sk": {"S": "release"}},
                UpdateExpression="SET champion = :v", ExpressionAttributeValues=champion
            )  # fmt: skip


def test_a_role_that_nobody_made_is_refused(stage: Stage) -> None:
    with pytest.raises(EnvironmentNotFoundError, match="--as: expected one of scientist, operator"):
        as_role(local_environment(stage.cloud), "leads/ann", "electricity")
