"""Releases on two instances, while callers ask all the time: phase by phase to live, and back when the canary is bad.

The release room is deployed again from its own templates, for the workload with another rollout. The versions are the
champion's artefact registered anew; what is wrong with them is done to their processes: they are killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from localcloud.deploy import deploy
from millrace.console.demo.electricity import STORY
from millrace.console.demo.months import SAMPLE, months
from millrace.infra.app import build
from millrace.infra.settings import StageSettings, settings_for
from millrace.state.pointers import Pointers, ReleasePointers
from millrace.state.table import StateTable
from tests.electricity import live_at_once
from tests.end_to_end.callers import meanwhile, typed
from tests.end_to_end.conftest import REST_S, Lived
from tests.localcloud.waiting import until
from tests.registered import register, tell

ROLLOUT = {
    "phases: [live]": "phases: [live]\n  min_instances: 2",
    "local: ml.m5.large, dev: ml.m5.large": "local: ml.m5.xlarge, dev: ml.m5.large",
    "max_p99_ms: 50": "max_p99_ms: 500",
}
"""Two instances of another type. The bound on latency is ten times the workload's: a busy machine is not a
bad version."""
FOLDER = STORY.folder
WATCHED_S = 600
"""How long a new fleet is watched, as on AWS: the alarms look at minutes of the cloud's clock, which the tests move."""
FEATURES = ("day_of_week", "period", "nswprice", "nswdemand", "vicprice", "vicdemand", "transfer")


@pytest.fixture(scope="module")
def canary(lived: Lived, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lived]:
    """The cloud with that rollout deployed; the next release brings the second instance, and both of another type.

    Afterwards a new fleet is watched as shortly as the demonstration watches it."""
    scratch = tmp_path_factory.mktemp("canary")
    shutil.copytree(FOLDER, scratch / FOLDER.name)
    text = live_at_once((scratch / FOLDER.name / "workload.yaml").read_text())
    for before, after in ROLLOUT.items():
        assert text.count(before) == 1
        text = text.replace(before, after)
    (scratch / FOLDER.name / "workload.yaml").write_text(text)
    local = settings_for("local", account=lived.names.platform.account, region=lived.names.platform.region)
    deploy_release(lived, replace(local, bake_s=WATCHED_S), scratch / FOLDER.name, scratch / "out")
    yield lived
    deploy_release(lived, local, scratch / FOLDER.name, scratch / "short")


def deploy_release(lived: Lived, settings: StageSettings, folder: Path, out: Path) -> None:
    app = build(settings, workloads=[folder], outdir=str(out))
    app.synth()
    done = deploy(lived.cloud.endpoint_url, out, [lived.names.stack("release")], secret=lived.cloud.secret)
    assert "UPDATE_COMPLETE" in {stack.status for stack in done if stack.name == lived.names.stack("release")}
    lived.rest()


def live(lived: Lived) -> dict[str, Any]:
    told: dict[str, Any] = lived.cloud.client("sagemaker").describe_endpoint(EndpointName=lived.names.endpoint)
    return told


def pointers(lived: Lived) -> Pointers:
    client = lived.cloud.client("dynamodb")
    return ReleasePointers(StateTable(client, lived.names)).read()


def champion(lived: Lived) -> str:
    found = pointers(lived).champion
    assert found is not None
    return found.version


def run_of(lived: Lived, package_arn: str) -> dict[str, Any]:
    """What describe_execution says of the one release of this version."""
    states = lived.cloud.client("stepfunctions")
    listed = states.list_executions(stateMachineArn=lived.names.machine_arn("release"))["executions"]
    runs = [states.describe_execution(executionArn=each["executionArn"]) for each in listed]
    (run,) = [run for run in runs if json.loads(run["input"]).get("detail", {}).get("package_arn") == package_arn]
    return dict(run)


class Callers:
    """Two who ask all the time, and what they were told: the version, `fallback`, or the error."""

    def __init__(self, ask: Callable[[], str]) -> None:
        self._ask = ask
        self.told: list[str] = []

    def asking(self) -> AbstractContextManager[None]:
        return meanwhile(self._ask_once, pause_s=lambda: 0.02, callers=2)

    def _ask_once(self) -> None:
        try:
            self.told.append(self._ask())
        except Exception as error:
            self.told.append(f"{type(error).__name__}: {error}")

    def wait_for(self, version: str) -> None:
        until(lambda: version in self.told)

    def next(self) -> Counter[str]:
        """What the next ten are told that begin after this moment."""
        begin = len(self.told) + 2
        until(lambda: len(self.told) >= begin + 10)
        return Counter(self.told[begin:])


@pytest.fixture
def plain(canary: Lived) -> Callers:
    """Callers of the endpoint itself, with nobody between who could hide a failure."""
    runtime = canary.cloud.client("sagemaker-runtime")
    body = json.dumps({"rows": [dict.fromkeys(FEATURES, 0.25)]})

    def ask() -> str:
        answer = runtime.invoke_endpoint(
            EndpointName=canary.names.endpoint, ContentType="application/json", Accept="application/json", Body=body
        )
        return str(json.load(answer["Body"])["model_version"])

    return Callers(ask)


@pytest.fixture
def predicting(canary: Lived) -> Callers:
    """Callers of the prediction function."""
    client = canary.cloud.client("lambda")
    row = months(SAMPLE, "1997-01", "1997-01")[0].rows.drop_columns(["class"]).slice(0, 1).to_pylist()[0]
    payload = json.dumps({"rows": [{**row, "timestamp": row["timestamp"].isoformat()}]})

    def ask() -> str:
        answer = client.invoke(FunctionName=canary.names.prediction, Payload=payload)
        (prediction,) = json.load(answer["Payload"])["predictions"]
        return "fallback" if prediction["fallback"] else str(prediction["model_version"])

    return Callers(ask)


def serving(lived: Lived, version: str) -> list[int]:
    """The processes that serve this version on the live endpoint and answer /ping."""
    root = f"MILLRACE_ML_ROOT={(lived.build / 'local').resolve()}/endpoints/{lived.names.endpoint}/"
    found = []
    for folder in Path("/proc").iterdir():
        try:
            variables = (folder / "environ").read_text().split("\0") if folder.name.isdigit() else []
        except OSError:
            continue
        ours = any(one.startswith(root) for one in variables) and f"MILLRACE_MODEL_VERSION={version}" in variables
        ports = [one.partition("=")[2] for one in variables if one.startswith("SAGEMAKER_BIND_TO_PORT=")]
        if ours and answers(ports[0]):
            found.append(int(folder.name))
    return found


def answers(port: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def later(lived: Lived, seconds: int) -> None:
    """Move the cloud's clock."""
    lived.cloud.move_clock(lived.cloud.now() + timedelta(seconds=seconds))


@contextmanager
def killed(lived: Lived, version: str) -> Iterator[None]:
    """In the block the processes of this version die as soon as they answer: the cloud starts them again."""

    def kill() -> None:
        for process in serving(lived, version):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)

    with meanwhile(kill, pause_s=lambda: 0.02):
        yield


def audited(lived: Lived) -> list[dict[str, Any]]:
    client = lived.cloud.client("dynamodb")
    pages = client.get_paginator("scan").paginate(TableName=lived.names.platform.audit_table)
    return [{name: value["S"] for name, value in item.items()} for page in pages for item in page["Items"]]


def alarms(lived: Lived) -> list[str]:
    """Those of releases."""
    found = lived.cloud.client("cloudwatch").describe_alarms(AlarmNamePrefix=f"{lived.names.prefix}-v")["MetricAlarms"]
    return [alarm["AlarmName"] for alarm in found]


def scaled(lived: Lived) -> list[tuple[int, int]]:
    """The bounds between which the live endpoint is scaled; none where it is not."""
    found = lived.cloud.client("application-autoscaling").describe_scalable_targets(
        ServiceNamespace="sagemaker", ResourceIds=[f"endpoint/{lived.names.endpoint}/variant/main"]
    )
    return [(one["MinCapacity"], one["MaxCapacity"]) for one in found["ScalableTargets"]]


def fleet(lived: Lived) -> tuple[str, int]:
    """Instance type and count of the live endpoint."""
    now = live(lived)
    config = lived.cloud.client("sagemaker").describe_endpoint_config(EndpointConfigName=now["EndpointConfigName"])
    return config["ProductionVariants"][0]["InstanceType"], now["ProductionVariants"][0]["CurrentInstanceCount"]


def begin_release(lived: Lived) -> tuple[str, str]:
    """A new version, and the execution that releases it."""
    package, machine = register(lived.cloud, lived.names), lived.names.machine_arn("release")
    asked = json.dumps({"detail": {"package_arn": package}})
    started = lived.cloud.client("stepfunctions").start_execution(stateMachineArn=machine, input=asked)
    return package.rpartition("/")[2], started["executionArn"]


def test_every_phase_is_walked_to_live(canary: Lived, plain: Callers) -> None:
    """The canary is judged by its alarms, then the version is live, on the instances that are declared by now."""
    assert (fleet(canary), scaled(canary)) == (("ml.m5.large", 1), [(1, 4)])
    states, before = canary.cloud.client("stepfunctions"), champion(canary)
    with plain.asking():
        version, arn = begin_release(canary)
        plain.wait_for(version)
        later(canary, 3 * WATCHED_S)
        over(canary, arn)
        assert set(plain.next()) == {version}
    canary.rest()
    assert states.describe_execution(executionArn=arn)["status"] == "SUCCEEDED"
    assert set(plain.told) == {before, version}
    assert {"Update live", "Stop scaling", "Declared count"} <= entered(states, arn)
    assert (fleet(canary), scaled(canary)) == (("ml.m5.xlarge", 2), [(2, 4)])
    assert [record["event"] for record in audited(canary) if record["execution"] == arn] == ["release.live"]
    assert (champion(canary), alarms(canary)) == (version, [])


def test_a_person_brings_the_version_before_back_and_nobody_notices(canary: Lived, plain: Callers) -> None:
    """The one who asked for it is named: in the record, and by the command that shows what is live."""
    before = pointers(canary)
    assert before.champion is not None
    assert before.previous is not None
    with plain.asking():
        arn = str(typed("rollback", "--reason", "worse since Tuesday")["execution"])
        plain.wait_for(before.previous.version)
        later(canary, 3 * WATCHED_S)
        over(canary, arn)
        assert set(plain.next()) == {before.previous.version}
    canary.rest()
    assert set(plain.told) == {before.champion.version, before.previous.version}
    (record,) = [json.loads(one["details"]) for one in audited(canary) if one["event"] == "release.rolled_back"]
    person = canary.cloud.client("sts").get_caller_identity()["Arn"]
    assert (record["replaced"], record["reason"], record["by"]) == (
        before.champion.version,
        "worse since Tuesday",
        person,
    )
    now = typed("live")
    assert (now["version"], now["rolled_back_by"]) == (before.previous.version, person)


def over(lived: Lived, arn: str) -> None:
    """Wait for the execution's end. While somebody asks all the time the cloud itself is never idle."""
    states = lived.cloud.client("stepfunctions")
    until(lambda: states.describe_execution(executionArn=arn)["status"] != "RUNNING", REST_S)


def entered(states: Any, arn: str) -> set[str]:
    """The names of the states that the execution entered."""
    pages = states.get_paginator("get_execution_history").paginate(executionArn=arn)
    events = [event for page in pages for event in page["events"]]
    return {event["stateEnteredEventDetails"]["name"] for event in events if "stateEnteredEventDetails" in event}


def rolled_back(lived: Lived, package: str, *, champion_before: str, config_before: str, alarm: str) -> None:
    """The release is closed as failed, the champion and its fleet stay, and it is written down."""
    lived.rest()
    run = run_of(lived, package)
    assert (run["status"], run["error"]) == ("FAILED", "RolledBack")
    now = live(lived)
    assert (now["EndpointStatus"], now["EndpointConfigName"]) == ("InService", config_before)
    assert now["FailureReason"].startswith("One or more configured alarms are in ALARM state: ")
    assert alarm in now["FailureReason"]
    assert champion(lived) == champion_before
    endpoints = lived.cloud.client("sagemaker").list_endpoints()["Endpoints"]
    assert lived.names.challenger not in {one["EndpointName"] for one in endpoints}
    assert alarms(lived) == []
    (record,) = [
        one for one in audited(lived) if (one["event"], one["execution"]) == ("release.failed", run["executionArn"])
    ]
    assert json.loads(record["details"])["error"] == "RolledBack"
    approval = lived.cloud.client("sagemaker").describe_model_package(ModelPackageName=package)["ModelApprovalStatus"]
    assert approval == "PendingManualApproval"


def test_a_broken_canary_is_rolled_back_and_every_caller_is_answered(
    canary: Lived, predicting: Callers, plain: Callers
) -> None:
    """Its processes die under requests: the prediction function answers with the declared fallback.

    The endpoint's own callers get the errors; the prediction function asks no more once five in a row have failed."""
    before, config, package = champion(canary), live(canary)["EndpointConfigName"], register(canary.cloud, canary.names)
    version = package.rpartition("/")[2]
    with predicting.asking():
        tell(canary.cloud, canary.names, package)
        predicting.wait_for(version)
        stop_scaling(canary)
        with killed(canary, version), plain.asking():
            predicting.wait_for("fallback")
            until(lambda: any("ModelError" in told for told in plain.told))
            later(canary, 60)
            over(canary, run_of(canary, package)["executionArn"])
        # Five failures in a row open the circuit for half a minute; afterwards the model answers again.
        until(lambda: predicting.told[-1] == before)
    assert set(predicting.told) == {before, version, "fallback"}
    rolled_back(canary, package, champion_before=before, config_before=config, alarm="-errors")
    assert scaled(canary) == [(2, 4)], "the endpoint is scaled again"


def stop_scaling(lived: Lived) -> None:
    """As a release does that changes the instance type."""
    lived.cloud.client("application-autoscaling").deregister_scalable_target(
        ServiceNamespace="sagemaker",
        ResourceId=f"endpoint/{lived.names.endpoint}/variant/main",
        ScalableDimension="sagemaker:variant:DesiredInstanceCount",
    )


def served(lived: Lived) -> str:
    """The model behind the live endpoint."""
    config = live(lived)["EndpointConfigName"]
    found = lived.cloud.client("sagemaker").describe_endpoint_config(EndpointConfigName=config)
    return str(found["ProductionVariants"][0]["ModelName"])


def test_a_release_that_a_person_stops_halfway_leaves_one_truth(canary: Lived, plain: Callers) -> None:
    """Stopped while the endpoint changes: SageMaker goes on with the update, and the version before comes back."""
    states, before = canary.cloud.client("stepfunctions"), pointers(canary)
    version, arn = begin_release(canary)
    until(lambda: "Live wait" in entered(states, arn))
    states.stop_execution(executionArn=arn)
    assert before.champion is not None
    with plain.asking():
        plain.wait_for(version)
        later(canary, 3 * WATCHED_S)
        until(lambda: set(plain.told[-20:]) == {version})  # a canary has a third of the requests
        until(lambda: plain.told[-1] == before.champion.version)
        later(canary, 2 * WATCHED_S)
        until(lambda: live(canary)["EndpointStatus"] == "InService")
        assert set(plain.next()) == {before.champion.version}
    canary.rest()
    after = pointers(canary)
    assert after.champion is not None
    assert (after.champion.version, after.previous) == (before.champion.version, before.previous)
    assert served(canary) == after.champion.model_name
    (record,) = [record for record in audited(canary) if record["execution"] == arn]
    assert (record["event"], json.loads(record["details"])["status"]) == ("release.failed", "ABORTED")
