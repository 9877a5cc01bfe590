"""Deploys a synthesized CDK assembly into the local cloud: bootstrap, assets, each stack after those that it needs."""

from __future__ import annotations

import argparse
import functools
import io
import json
import os
import time
import urllib.request
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from localcloud.kernel.cloud import ACCOUNT, REGION
from localcloud.kernel.control import PREFIX, SECRET_HEADER, SECRET_VARIABLE

ONCE = Config(read_timeout=600, retries={"total_max_attempts": 1})
"""A call waits while its stack is made. One that gave up and came again would find the stack there already."""
LARGE_BYTES = 512 * 1024
"""An asset with more bytes is not copied: a reference to its place in the assembly goes into the bucket."""


class DeploymentError(Exception):
    """A stack was not deployed. The message names the stack, the resource and CloudFormation's reason."""


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """A stack after its deployment."""

    name: str
    status: str
    """`CREATE_COMPLETE`, `UPDATE_COMPLETE` or `UNCHANGED`."""
    resources: int
    seconds: float


def deploy(
    cloud_url: str,
    assembly: Path,
    stacks: Sequence[str] | None = None,
    *,
    secret: str | None = None,
    role_arn: str | None = None,
    parameters: Iterable[tuple[str, str, str]] = (),
) -> list[Deployed]:
    """Deploy the assembly, and return the stacks in the order of their deployment.

    With `stacks`, only these and the stacks on which they depend are deployed. `secret` is the secret of the cloud's
    run, by default that of the environment. `role_arn` is the role in whose name CloudFormation makes the resources; by
    default it may do everything. `parameters` are values of templates' parameters: stack or `*`, name, value.

    Raises DeploymentError before anything is made if a stack holds what the local cloud does not cover, or if a value
    does not fit, and at the first stack that fails. As on AWS, the stacks before it stay."""
    session = boto3.Session("local", "local", region_name=REGION)
    cloudformation, s3, ssm = (
        session.client(name, endpoint_url=cloud_url, config=ONCE) for name in ("cloudformation", "s3", "ssm")
    )
    artifacts = json.loads((assembly / "manifest.json").read_text())["artifacts"]
    ordered = list(_in_order(artifacts, stacks))
    _bootstrap(s3, ssm)
    needed = {key: artifacts[key] for _, artifact in ordered for key in artifact.get("dependencies", [])}
    _publish(s3, assembly, [one for one in needed.values() if one["type"] == "cdk:asset-manifest"])
    names = [name for name, _ in ordered]
    if unknown := {stack for stack, _, _ in parameters} - {"*", *names}:
        raise DeploymentError(f"parameters: expected a stack of {names}, got {sorted(unknown)}")
    for name, artifact in ordered:
        own = artifact["properties"].setdefault("parameters", {})
        own |= {key: value for stack, key, value in sorted(parameters, key=lambda one: one[0]) if stack in {"*", name}}
    tell = functools.partial(_tell, cloud_url, secret or os.environ.get(SECRET_VARIABLE, ""), assembly)
    if refusals := tell("preview", [{"name": name, **artifact["properties"]} for name, artifact in ordered]):
        raise DeploymentError("\n".join(["nothing is deployed", *refusals]))
    deployed = [_deploy_stack(cloudformation, assembly, name, artifact, role_arn) for name, artifact in ordered]
    tell("deployments", [asdict(stack) for stack in deployed])
    return deployed


def _in_order(artifacts: dict[str, Any], stacks: Sequence[str] | None) -> Iterator[tuple[str, dict[str, Any]]]:
    """The stacks as (name, artifact), each after the stacks on which it depends.

    Raises DeploymentError if the assembly has no such stack."""
    by_stack = {_stack_name(key, one): key for key, one in artifacts.items() if _is_stack(one)}
    unknown = set(stacks or ()) - set(by_stack) - set(artifacts)
    if unknown:
        raise DeploymentError(f"the assembly has no stack {sorted(unknown)}, it has {sorted(by_stack)}")
    done: set[str] = set()

    # Depth first: what an artifact depends on comes before it, and each artifact once. Assets are passed through.
    def visit(key: str) -> Iterator[tuple[str, dict[str, Any]]]:
        if key in done:
            return
        done.add(key)
        for other in artifacts[key].get("dependencies", []):
            yield from visit(other)
        if _is_stack(artifacts[key]):
            yield _stack_name(key, artifacts[key]), artifacts[key]

    for name in stacks or by_stack:
        yield from visit(by_stack.get(name, name))


def _is_stack(artifact: dict[str, Any]) -> bool:
    return bool(artifact["type"] == "aws:cloudformation:stack")


def _stack_name(key: str, artifact: dict[str, Any]) -> str:
    return str(artifact.get("properties", {}).get("stackName", key))


def _bootstrap(s3: Any, ssm: Any) -> None:
    """Make the part of `cdk bootstrap` that templates read: the bucket, and the parameter with its version."""
    # hnb659fds is CDK's default qualifier; the templates name the bucket and the parameter by it.
    bucket = f"cdk-hnb659fds-assets-{ACCOUNT}-{REGION}"
    try:
        s3.head_bucket(Bucket=bucket)
    except ClientError:
        place = {"LocationConstraint": REGION}
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration=place)
        ssm.put_parameter(Name="/cdk-bootstrap/hnb659fds/version", Value="30", Type="String", Overwrite=True)


def _publish(s3: Any, assembly: Path, manifests: Iterable[dict[str, Any]]) -> None:
    """Put each file asset under the key that the templates name, once, and each template where its stack is made of it.

    Images stay in the assembly: the job or endpoint that runs one takes it from there."""
    described = (json.loads((assembly / one["properties"]["file"]).read_text()) for one in manifests)
    assets = [asset for one in described for asset in one.get("files", {}).values()]
    placed = {(one["bucketName"], one["objectKey"]): each for each in assets for one in each["destinations"].values()}
    for (bucket, key), asset in placed.items():
        source = assembly / asset["source"]["path"]
        is_archive = asset["source"]["packaging"] == "zip" or source.suffix == ".zip"
        is_referenced = source.is_dir() or (is_archive and source.stat().st_size > LARGE_BYTES)
        body = _reference(source) if is_referenced else source.read_bytes()
        s3.put_object(Bucket=_here(bucket), Key=key, Body=body)


def _reference(source: Path) -> bytes:
    """A zip with one member, `.asset.json`, which says where the staged file or folder lies.

    `localcloud/awslambda/workers.py` reads it."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(".asset.json", json.dumps({"path": str(source.resolve())}))
    return packed.getvalue()


def _here(place: str) -> str:
    return place.replace("${AWS::AccountId}", ACCOUNT).replace("${AWS::Region}", REGION)


def _template(assembly: Path, artifact: dict[str, Any]) -> dict[str, str]:
    """As the CDK gives it to CloudFormation: by its place in the bucket, or whole where the app has none."""
    if url := artifact["properties"].get("stackTemplateAssetObjectUrl"):
        return {"TemplateURL": _here(url).replace("s3://", f"https://s3.{REGION}.amazonaws.com/")}
    return {"TemplateBody": (assembly / artifact["properties"]["templateFile"]).read_text()}


def _deploy_stack(
    cloudformation: Any, assembly: Path, name: str, artifact: dict[str, Any], role_arn: str | None
) -> Deployed:
    template, began = json.loads((assembly / artifact["properties"]["templateFile"]).read_text()), time.perf_counter()
    parameters = artifact["properties"]["parameters"]
    status = _create_or_update(cloudformation, name, _template(assembly, artifact), parameters, role_arn)
    if status not in {"CREATE_COMPLETE", "UPDATE_COMPLETE", "UNCHANGED"}:
        raise DeploymentError(f"stack {name} is {status}: {_why(cloudformation, name)}")
    seconds = time.perf_counter() - began
    return Deployed(name=name, status=status, resources=len(template["Resources"]), seconds=seconds)


def _create_or_update(
    cloudformation: Any, name: str, template: dict[str, str], parameters: dict[str, str], role_arn: str | None
) -> str:
    given = [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]
    settings = {"StackName": name, **template, "Parameters": given, "Capabilities": ["CAPABILITY_NAMED_IAM"]}
    settings |= {"RoleARN": role_arn} if role_arn else {}
    status = _status(cloudformation, name)
    # As on AWS, a stack whose creation was rolled back can only be deleted.
    if status == "ROLLBACK_COMPLETE":
        cloudformation.delete_stack(StackName=name)
        status = None
    try:
        if status is None:
            cloudformation.create_stack(**settings)
        else:
            cloudformation.update_stack(**settings)
    except ClientError as error:
        if "No updates are to be performed" in str(error):
            return "UNCHANGED"
        raise DeploymentError(f"stack {name}: {error}") from error
    return str(_status(cloudformation, name))


def _status(cloudformation: Any, name: str) -> str | None:
    try:
        return str(cloudformation.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"])
    except ClientError as error:
        if "does not exist" in str(error):
            return None
        raise


def _why(cloudformation: Any, name: str) -> str:
    """The stack's newest failed resource, and the reason."""
    for event in cloudformation.describe_stack_events(StackName=name)["StackEvents"]:
        if event["ResourceStatus"].endswith("_FAILED"):
            reason = event.get("ResourceStatusReason", "no reason given")
            return f"{event['LogicalResourceId']} ({event['ResourceType']}): {reason}"
    return "no failed resource among its events"


def _tell(cloud_url: str, secret: str, assembly: Path, route: str, stacks: list[dict[str, Any]]) -> Any:
    """What the route below `/_millrace/` answers to the assembly's stacks: `preview` looks, `deployments` keeps."""
    body = json.dumps({"assembly": str(assembly.resolve()), "stacks": stacks}).encode()
    request = urllib.request.Request(  # noqa: S310 - this machine
        f"{cloud_url}{PREFIX}{route}", body, {"content-type": "application/json", SECRET_HEADER: secret}
    )
    with urllib.request.urlopen(request) as answer:  # noqa: S310 # nosec B310 # this machine
        return json.load(answer)


def deploy_and_say(cloud_url: str, assembly: Path, stacks: Sequence[str] | None = None, **settings: Any) -> None:
    """Deploy the assembly, with the settings of `deploy`, and print a line for each stack."""
    for stack in deploy(cloud_url, assembly, stacks, **settings):
        print(f"{stack.name}: {stack.status}, {stack.resources} resources, {stack.seconds:.2f} s", flush=True)


def assembly_folder(folder: str) -> Path:
    """The folder, for a parser of arguments, which says so where it holds no assembly."""
    if (Path(folder) / "manifest.json").is_file():
        return Path(folder)
    raise argparse.ArgumentTypeError(f"{folder} holds no manifest.json; expected what `cdk synth` made (cdk.out)")


def parameter(text: str) -> tuple[str, str, str]:
    """Stack or `*`, name and value of `[STACK:]NAME=VALUE`, for a parser of arguments. `cdk deploy` takes it alike."""
    name, _, value = text.partition("=")
    stack, _, key = name.rpartition(":")
    if "=" in text and key:
        return stack or "*", key, value
    raise argparse.ArgumentTypeError(f"expected [STACK:]NAME=VALUE, got {text}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m localcloud.deploy", description=__doc__)
    parser.add_argument("--endpoint-url", required=True, help="the address that `python -m localcloud` printed")
    parser.add_argument("assembly", type=assembly_folder, help="the folder that `cdk synth` made (cdk.out)")
    parser.add_argument("stacks", nargs="*", help="only these stacks and what they depend on")
    parser.add_argument("--parameters", type=parameter, action="append", default=[], metavar="[STACK:]NAME=VALUE")
    given = vars(parser.parse_args())
    deploy_and_say(given.pop("endpoint_url"), given.pop("assembly"), given.pop("stacks") or None, **given)


if __name__ == "__main__":
    main()
