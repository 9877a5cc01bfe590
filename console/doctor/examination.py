"""All checks of `millrace doctor`, in the order in which a newcomer meets the requirements."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable, Iterator, Sequence
from email.utils import parsedate_to_datetime
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from urllib.parse import urlsplit

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from millrace.console.doctor.checks import Check, Verdict, check_lake_formation, check_network, judged
from millrace.console.doctor.quotas import check_quotas, count_roles, declared_aside, required_instances
from millrace.console.environment import Environment, find_environment
from millrace.console.queries.alarms import MAIL_LOG, find_receivers
from millrace.console.queries.live import lost_endpoint
from millrace.console.queries.reviews import is_switched_off, switched_on_by
from millrace.console.queries.versions import state_of
from millrace.errors import MillraceError
from millrace.names import IMAGES, WorkloadNames
from millrace.state.pointers import ReleasePointers
from millrace.workload.declaration import Workload

DISK_GB = 6
"""Free disk space in GiB: for packages, layers, and the objects and logs of two local clouds."""
SKEW_S = 240
"""The most that the clock may be off, in seconds. S3 refuses a request whose signature is five minutes off; the minute
in between is for the way."""
BOOTSTRAP = "/cdk-bootstrap/hnb659fds/version"
"""The SSM parameter that `cdk bootstrap` writes. Its value is the version of the bootstrap template."""
BOOTSTRAP_VERSION = 21
"""The lowest version of the bootstrap template."""
GOOD = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE")
"""The statuses of a stack that is deployed."""
LIBRARIES = {"moto": "local", "aws-cdk-lib": "deploy", "torch": "train", "onnxruntime": "train"}
"""Packages beyond those that every command needs, each with the extra of our package that installs it."""


def examine(stage: str, build: Path, workloads: Sequence[Workload]) -> Iterator[Check]:
    """Every check of a stage, those of this machine first. A check that fails does not hide the checks after it."""
    for library, extra in LIBRARIES.items():
        yield _library(library, extra)
    # The build folder may not exist yet. The nearest parent that exists lies on the same disk.
    there = next(folder for folder in (build.resolve(), *build.resolve().parents) if folder.exists())
    free_gb = shutil.disk_usage(there).free / 2**30
    yield judged("disk", f"{DISK_GB} GB free", f"{free_gb:.0f} GB at {there}", (free_gb >= DISK_GB), "make room")
    if stage == "local":
        yield from _local(build, workloads)
    else:
        yield from _account(stage, build, workloads)


def is_good(checks: Sequence[Check]) -> bool:
    """Whether no requirement is missing."""
    return all(check.verdict != "missing" for check in checks)


def _library(library: str, extra: str) -> Check:
    try:
        found = version(library)
    except PackageNotFoundError:
        found = ""
    advice = f"pip install -c millrace/constraints.txt '.[{extra}]'"
    return judged(f"package {library}", "installed", found or "not installed", bool(found), advice)


def _local(build: Path, workloads: Sequence[Workload]) -> Iterator[Check]:
    try:
        environment = find_environment("local", build)
        url = str(environment.client("sts").meta.endpoint_url)
        with socket.create_connection((urlsplit(url).hostname, urlsplit(url).port), timeout=2):
            yield judged("local cloud", "up", url, True)
    except (MillraceError, OSError) as error:
        yield judged("local cloud", "up", str(error), False, "millrace up")
        return
    yield from _stage(environment, workloads)


def _account(stage: str, build: Path, workloads: Sequence[Workload]) -> Iterator[Check]:
    session = boto3.Session()
    region = session.region_name
    yield judged("region", "AWS_REGION or the profile's", region or "none", bool(region), "export AWS_REGION=…")
    keys = session.get_credentials()
    method = "none" if keys is None else keys.method
    yield judged("credentials", "of the account", method, keys is not None, "aws configure sso, or a profile")
    yield _cdk(build)
    # Without them no call to AWS can be made.
    if not region or keys is None:
        return
    try:
        environment = find_environment(stage, build)
    except (ClientError, BotoCoreError, MillraceError) as error:
        yield judged("credentials", "that AWS takes", str(error), False, "sign in again")
        return
    for name, look in (("clock", _clock), ("bootstrap stack", _bootstrap), ("images", _images)):
        yield from _describe(name, partial(look, environment))
    yield from _stage(environment, workloads)
    yield from _describe("IAM roles", lambda: count_roles(environment, len(workloads)))
    yield from _describe("Lake Formation", lambda: check_lake_formation(environment))
    yield from _describe("network", lambda: check_network(environment))
    yield from check_quotas(
        environment.client("service-quotas"),
        required_instances(workloads, stage),
        workloads=len(workloads),
        aside=len(workloads) * declared_aside(stage),
    )


def _stage(environment: Environment, workloads: Sequence[Workload]) -> Iterator[Check]:
    """What is deployed, as far as it can be looked at."""
    for name, look in (
        ("stacks", _stacks),
        ("drops", _drops),
        ("endpoints", _endpoints),
        ("notifications", _receivers),
    ):
        yield from _describe(name, partial(look, environment, workloads))


def _cdk(build: Path) -> Check:
    """Whether `cdk` is installed, which deploys. `make setup` puts it below the build folder."""
    ours = build / "node" / "node_modules" / ".bin" / "cdk"
    found = str(ours) if ours.is_file() else shutil.which("cdk") or ""
    return judged("cdk", "installed", found or "not installed", bool(found), "make setup")


def _describe(name: str, look: Callable[[], Iterator[Check]]) -> Iterator[Check]:
    """The checks that `look` yields. If AWS refuses a call, one check says so instead."""
    try:
        yield from look()
    except (ClientError, BotoCoreError) as error:
        yield judged(name, "an answer of AWS", str(error), "unknown", "ask who may look")


def _clock(environment: Environment) -> Iterator[Check]:
    """How far this machine's clock is off, by the date of AWS's answer: its time is in each request's signature."""
    headers = environment.client("sts").get_caller_identity()["ResponseMetadata"]["HTTPHeaders"]
    skew_s = abs((environment.now() - parsedate_to_datetime(headers["date"])).total_seconds())
    yield judged("clock", f"within {SKEW_S} s", f"{skew_s:.0f} s off", skew_s <= SKEW_S, "set the clock by NTP")


def _bootstrap(environment: Environment) -> Iterator[Check]:
    client = environment.client("ssm")
    try:
        found = int(client.get_parameter(Name=BOOTSTRAP)["Parameter"]["Value"])
    except client.exceptions.ParameterNotFound:
        found = 0
    came = f"version {found}" if found else "not there"
    advice = f"cdk bootstrap -c stage={environment.platform.stage}"
    yield judged("bootstrap stack", f"version >= {BOOTSTRAP_VERSION}", came, found >= BOOTSTRAP_VERSION, advice)


def _images(environment: Environment) -> Iterator[Check]:
    """For each image, whether `make images` has recorded a digest, and the newest one.

    Whether a checkout requires a newer image is for synth to say."""
    platform = environment.platform
    for image in IMAGES:
        path = platform.parameter(f"image/{image}")
        noted = list(environment.listed("ssm", "get_parameters_by_path", "Parameters", Path=path))
        newest = max(noted, key=lambda one: one["LastModifiedDate"])["Value"] if noted else "none"
        advice = f"make images STAGE={platform.stage} (after the platform stack)"
        yield judged(f"image {image}", f"a digest below {path}", newest[:19], bool(noted), advice)


def _stacks(environment: Environment, workloads: Sequence[Workload]) -> Iterator[Check]:
    """The status of the platform's stack, and the stacks of each workload. Not every workload must be deployed."""
    listed = environment.listed("cloudformation", "describe_stacks", "Stacks")
    found = {stack["StackName"]: stack["StackStatus"] for stack in listed}
    platform, stage = f"{environment.platform.prefix}-platform", environment.platform.stage
    deploy = "millrace up" if stage == "local" else f"cdk deploy {platform} -c stage={stage}"
    status = found.get(platform, "not there")
    yield judged("platform stack", "deployed", status, status in GOOD, deploy)
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
        # If another workload has stacks, this one may be left out on purpose. If none has any, all are missing.
        if not mine and any(stacks.values()):
            yield judged(f"stacks of {workload}", "-", came, "absent", advice)
        else:
            yield judged(f"stacks of {workload}", "deployed", came, bool(mine) and not bad, advice)


def _deployed(environment: Environment, workloads: Sequence[Workload]) -> Iterator[WorkloadNames]:
    """The names of the workloads under examination that are deployed."""
    examined = {workload.name for workload in workloads}
    return (names for names in environment.deployed() if names.workload in examined)


def _drops(environment: Environment, workloads: Sequence[Workload]) -> Iterator[Check]:
    """A check for each deployed workload whose drops are not taken."""
    for names in _deployed(environment, workloads):
        if is_switched_off(environment, names):
            yield judged(f"drops of {names.workload}", "taken", "switched off", False, switched_on_by(names))


def _endpoints(environment: Environment, workloads: Sequence[Workload]) -> Iterator[Check]:
    """A check for each live endpoint that is gone or broken."""
    for names in _deployed(environment, workloads):
        is_live = ReleasePointers(state_of(environment, names)).champion() is not None
        if is_live and (lost := lost_endpoint(environment, names)):
            came, _, advice = lost.partition(": ")
            yield judged(f"endpoint of {names.workload}", "in service", came, False, advice)


def _receivers(environment: Environment, workloads: Sequence[Workload]) -> Iterator[Check]:
    """For a deployed stage, whether anybody receives its alarms. It never stops a newcomer."""
    # The topic of alarms belongs to the stage, so the first deployed workload stands for all.
    for names in list(_deployed(environment, workloads))[:1]:
        receivers = find_receivers(environment, names)
        heard = [one.endpoint for one in receivers if one.is_confirmed]
        # The local cloud writes mails to a log, whether a subscription is confirmed or not.
        if environment.cloud:
            heard += [f"{one.endpoint}, in {MAIL_LOG}" for one in receivers if not one.is_confirmed]
        waiting = [f"{one.endpoint}, not confirmed" for one in receivers if not one.is_confirmed]
        stage = environment.platform.stage
        subscribe = f'"alarm_email": "<address>" below stages.{stage} in cdk.json, then deploy'
        found, advice = ", ".join(heard or waiting) or "nobody", "the owner of the address confirms it"
        verdict: Verdict = "ok" if heard else "unknown"
        yield judged("notifications", "somebody who is sent alarms", found, verdict, advice if waiting else subscribe)
