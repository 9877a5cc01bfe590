"""Checks of this machine and of the account: requirements that are met, missing or unknown."""

from __future__ import annotations

import shutil
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from urllib.parse import urlsplit

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from console.doctor.check import Check, Verdict
from console.doctor.counts import count_roles, count_rules
from console.doctor.lake_formation import check_lake_formation
from console.doctor.network import check_network
from console.doctor.quotas import check_quotas
from console.doctor.required_quotas import declared_provisioned, required_instances
from console.environment import Environment, find_environment
from console.queries.alarm_states import MAIL_LOG, find_receivers
from console.queries.idle import IDLE_DAYS, find_idle
from console.queries.intake import is_switched_off, switched_on_by
from console.queries.monitoring_limits import read_limits
from millrace.errors import MillraceError
from millrace.names import IMAGES, WorkloadNames
from millrace.workload.declaration import Workload

PYTHON = (3, 11)
DISK_GB = 6
"""Packages, layers, two clouds' worth of objects and logs."""
SKEW_S = 240
"""S3 refuses requests that are signed five minutes off; some are left for the way."""
BOOTSTRAP = "/cdk-bootstrap/hnb659fds/version"
"""The parameter that `cdk bootstrap` writes; its number is the template's version."""
BOOTSTRAP_VERSION = 21
GOOD = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE")
LIBRARIES = {
    "boto3": "",
    "pyarrow": "",
    "moto": "local",
    "aws-cdk-lib": "infra",
    "torch": "jobs",
    "onnxruntime": "jobs",
}
"""Packages that must be installed, by the extra that installs them."""


def examine(stage: str, build: Path, workloads: Sequence[Workload]) -> Iterator[Check]:
    """Every check of a stage, the machine's first; one that fails does not hide the next."""
    yield from _machine(build)
    if stage == "local":
        yield from _local(build, workloads)
    else:
        yield from _account(stage, build, workloads)


def is_good(checks: Sequence[Check]) -> bool:
    """Whether nothing that is needed is missing."""
    return all(check.verdict != "missing" for check in checks)


def _machine(build: Path) -> Iterator[Check]:
    found = sys.version_info[:2]
    yield _check("Python", f">= {_dotted(PYTHON)}", _dotted(found), good=found >= PYTHON, advice="make setup")
    for library, extra in LIBRARIES.items():
        yield _library(library, extra)
    there = next(folder for folder in (build.resolve(), *build.resolve().parents) if folder.exists())
    free_gb = shutil.disk_usage(there).free / 2**30
    enough = free_gb >= DISK_GB
    yield _check("disk", f"{DISK_GB} GB free", f"{free_gb:.0f} GB at {there}", good=enough, advice="make room")


def _library(library: str, extra: str) -> Check:
    try:
        found = version(library)
    except PackageNotFoundError:
        found = ""
    advice = f"pip install -c constraints.txt '.[{extra}]'" if extra else "pip install -c constraints.txt ."
    return _check(f"package {library}", "installed", found or "not installed", good=bool(found), advice=advice)


def _local(build: Path, workloads: Sequence[Workload]) -> Iterator[Check]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        yield _check("ports", "a free one on loopback", f"{probe.getsockname()[1]}", good=True)
    try:
        environment = find_environment("local", build)
        url = str(environment.client("sts").meta.endpoint_url)
        with socket.create_connection((urlsplit(url).hostname, urlsplit(url).port), timeout=2):
            yield _check("local cloud", "up", url, good=True)
    except (MillraceError, OSError) as error:
        yield _check("local cloud", "up", str(error), good=False, advice="millrace up")
        return
    yield from _stacks(environment, workloads)
    yield from _describe("drops", lambda: _drops(environment, workloads))
    yield from _describe("monitors", lambda: _monitors(environment, workloads))
    yield from _describe("endpoints", lambda: _endpoints(environment, workloads))
    yield from _describe("notifications", lambda: _receivers(environment, workloads))
    yield Check(
        name="quotas",
        needed="-",
        found="not covered here",
        verdict="unknown",
        advice="the local cloud has none: ask for dev or prod with --stage",
    )


def _account(stage: str, build: Path, workloads: Sequence[Workload]) -> Iterator[Check]:
    session = boto3.Session()
    region = session.region_name
    yield _check(
        "region", "AWS_REGION or the profile's", region or "none", good=bool(region), advice="export AWS_REGION=…"
    )
    keys = session.get_credentials()
    method = "none" if keys is None else keys.method
    yield _check(
        "credentials", "of the account", method, good=keys is not None, advice="aws configure sso, or a profile"
    )
    yield _cdk(build)
    if not region or keys is None:
        return
    try:
        environment = find_environment(stage, build)
    except (ClientError, BotoCoreError, MillraceError) as error:
        yield _check("credentials", "that AWS takes", str(error), good=False, advice="sign in again")
        return
    yield from _describe("clock", lambda: _clock(environment))
    yield from _describe("bootstrap stack", lambda: _bootstrap(environment))
    yield from _describe("images", lambda: _images(environment))
    yield from _describe("stacks", lambda: _stacks(environment, workloads))
    yield from _describe("drops", lambda: _drops(environment, workloads))
    yield from _describe("monitors", lambda: _monitors(environment, workloads))
    yield from _describe("endpoints", lambda: _endpoints(environment, workloads))
    yield from _describe("notifications", lambda: _receivers(environment, workloads))
    yield from _describe("IAM roles", lambda: count_roles(environment, len(workloads)))
    yield from _describe("rules", lambda: count_rules(environment, len(workloads)))
    yield from _describe("Lake Formation", lambda: check_lake_formation(environment))
    yield from _describe("network", lambda: check_network(environment))
    yield from check_quotas(
        environment.client("service-quotas"),
        required_instances(workloads, stage),
        provisioned=len(workloads) * declared_provisioned(stage),
    )


def _cdk(build: Path) -> Check:
    """The command that deploys; `make setup` puts it below the build folder."""
    ours = build / "node" / "node_modules" / ".bin" / "cdk"
    found = str(ours) if ours.is_file() else shutil.which("cdk") or ""
    return _check("cdk", "installed", found or "not installed", good=bool(found), advice="make setup")


def _describe(name: str, look: Callable[[], Iterator[Check]]) -> Iterator[Check]:
    """The look's checks; where AWS refuses it, that."""
    try:
        yield from look()
    except (ClientError, BotoCoreError) as error:
        yield Check(
            name=name, needed="an answer of AWS", found=str(error), verdict="unknown", advice="ask who may look"
        )


def _clock(environment: Environment) -> Iterator[Check]:
    """By the date of AWS's answer: requests are signed with this machine's time."""
    headers = environment.client("sts").get_caller_identity()["ResponseMetadata"]["HTTPHeaders"]
    skew_s = abs((datetime.now(UTC) - parsedate_to_datetime(headers["date"])).total_seconds())
    yield _check(
        "clock", f"within {SKEW_S} s", f"{skew_s:.0f} s off", good=skew_s <= SKEW_S, advice="set the clock by NTP"
    )


def _bootstrap(environment: Environment) -> Iterator[Check]:
    client = environment.client("ssm")
    try:
        found = int(client.get_parameter(Name=BOOTSTRAP)["Parameter"]["Value"])
    except client.exceptions.ParameterNotFound:
        found = 0
    came = f"version {found}" if found else "not there"
    advice = f"cdk bootstrap -c stage={environment.platform.stage}"
    yield _check(
        "bootstrap stack", f"version >= {BOOTSTRAP_VERSION}", came, good=found >= BOOTSTRAP_VERSION, advice=advice
    )


def _images(environment: Environment) -> Iterator[Check]:
    """The newest digest of each image that `make images` has noted; synth says when a checkout needs another."""
    platform = environment.platform
    pages = environment.client("ssm").get_paginator("get_parameters_by_path")
    for image in IMAGES:
        path = platform.parameter(f"image/{image}")
        noted = [one for page in pages.paginate(Path=path) for one in page["Parameters"]]
        newest = max(noted, key=lambda one: one["LastModifiedDate"])["Value"] if noted else "none"
        advice = f"make images STAGE={platform.stage} (after the platform stack)"
        yield _check(f"image {image}", f"a digest below {path}", newest[:19], good=bool(noted), advice=advice)


def _stacks(environment: Environment, workloads: Sequence[Workload]) -> Iterator[Check]:
    """The platform's stack, and how many each workload has; of several workloads not all need be deployed."""
    pages = environment.client("cloudformation").get_paginator("describe_stacks").paginate()
    found = {stack["StackName"]: stack["StackStatus"] for page in pages for stack in page["Stacks"]}
    platform, stage = f"{environment.platform.prefix}-platform", environment.platform.stage
    deploy = "millrace up" if stage == "local" else f"cdk deploy {platform} -c stage={stage}"
    status = found.get(platform, "not there")
    yield _check("platform stack", "deployed", status, good=status in GOOD, advice=deploy)
    stacks = {
        workload.name: {
            name: status
            for name, status in found.items()
            if name.startswith(f"{WorkloadNames(platform=environment.platform, workload=workload.name).prefix}-")
        }
        for workload in workloads
    }
    advice = "millrace up" if stage == "local" else f"cdk deploy --all -c stage={stage}"
    for workload, mine in stacks.items():
        bad = [f"{name}: {status}" for name, status in mine.items() if status not in GOOD]
        came = ", ".join(bad) or (f"{len(mine)} stacks" if mine else "not deployed")
        if not mine and any(stacks.values()):
            yield Check(name=f"stacks of {workload}", needed="-", found=came, verdict="absent", advice=advice)
        else:
            yield _check(f"stacks of {workload}", "deployed", came, good=bool(mine) and not bad, advice=advice)


def _deployed(environment: Environment, workloads: Sequence[Workload]) -> Iterator[WorkloadNames]:
    examined = {workload.name for workload in workloads}
    return (names for names in environment.deployed() if names.workload in examined)


def _drops(environment: Environment, workloads: Sequence[Workload]) -> Iterator[Check]:
    """Of each deployed workload, where its drops are not taken."""
    for names in _deployed(environment, workloads):
        if is_switched_off(environment, names):
            yield _check(
                f"drops of {names.workload}", "taken", "switched off", good=False, advice=switched_on_by(names)
            )


def _endpoints(environment: Environment, workloads: Sequence[Workload]) -> Iterator[Check]:
    """The live endpoints that nobody has called for a week; nothing that stops a newcomer."""
    for names in _deployed(environment, workloads):
        if idle := find_idle(environment, names):
            yield Check(
                name=f"endpoint of {names.workload}",
                needed=f"a request in {IDLE_DAYS} days",
                found=idle.sentence,
                verdict="unknown",
                advice=f"if nobody needs it: aws sagemaker delete-endpoint --endpoint-name {idle.endpoint}",
            )


def _receivers(environment: Environment, workloads: Sequence[Workload]) -> Iterator[Check]:
    """Of a deployed stage, whether somebody is sent its alarms; nothing that stops a newcomer."""
    for names in list(_deployed(environment, workloads))[:1]:
        receivers = find_receivers(environment, names)
        heard = [one.endpoint for one in receivers if one.is_confirmed]
        if environment.cloud:
            heard += [f"{one.endpoint}, in {MAIL_LOG}" for one in receivers if not one.is_confirmed]
        waiting = [f"{one.endpoint}, not confirmed" for one in receivers if not one.is_confirmed]
        stage = environment.platform.stage
        subscribe = f'"alarm_email": {{"{stage}": "<address>"}} in cdk.json, then deploy'
        yield Check(
            name="notifications",
            needed="somebody who is sent alarms",
            found=", ".join(heard or waiting) or "nobody",
            verdict="ok" if heard else "unknown",
            advice="" if heard else "the owner of the address confirms it" if waiting else subscribe,
        )


def _monitors(environment: Environment, workloads: Sequence[Workload]) -> Iterator[Check]:
    """What the monitors of each deployed workload's live version cannot watch; nothing that stops a newcomer."""
    for names in _deployed(environment, workloads):
        for limit in read_limits(environment, names):
            yield Check(
                name=f"monitors of {names.workload}",
                needed="bounds on drift and error",
                found=limit.sentence,
                verdict="unknown",
                advice="`millrace monitor` shows the windows; a training on more history calibrates anew",
            )


def _check(name: str, needed: str, found: str, *, good: bool, advice: str = "") -> Check:
    verdict: Verdict = "ok" if good else "missing"
    return Check(name=name, needed=needed, found=found, verdict=verdict, advice="" if good else advice)


def _dotted(numbers: tuple[int, ...]) -> str:
    return ".".join(map(str, numbers))
