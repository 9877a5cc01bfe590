"""`make images`: builds the images of containers/, pushes them, and notes in SSM what a scan lets through.

An image's tag is a digest of its sources, so a checkout knows its tags without an account. The parameter
`/millrace-<stage>/image/<name>/<tag>` holds the digest that the registry gave the image. The templates name the
parameter, and CloudFormation reads its value at deployment (`AWS::SSM::Parameter::Value<String>`). This has three
advantages:

- Synth needs no network.
- One commit is the same template and the same images, whoever deploys it.
- A rollback of a stack or of a checkout goes back to its images.

Every other way lacks one of these. Digests that are looked up at synth need the account for every synth and test, or a
cache in the working copy. A single parameter for the newest image would give old templates new images.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from millrace.errors import ConfigurationError
from millrace.infra import bases, scans
from millrace.infra.aws_images import login, training_base
from millrace.infra.options import Options, declared_options
from millrace.infra.published import published
from millrace.names import BULK, IMAGES, Platform
from millrace.workload.load import SUITE

ARCHITECTURE = "linux/amd64"
"""The platform of every instance that the workloads name. An arm64 host builds under emulation."""
TAKEN = "application/vnd.docker.distribution.manifest.v2+json"
"""The only media type that CreateModel takes. It refuses OCI's media types and image indexes:
https://github.com/aws/amazon-sagemaker-feedback/issues/180. Once it takes them, the three words about them in `build`
may go."""


SERVING = "inference"
"""The image that serves versions."""


@dataclass(frozen=True, kw_only=True)
class Image:
    """One container on its way into its repository."""

    name: str
    repository: str
    tag: str
    """A digest of the image's sources. So an unchanged image is not built again, and a tag never means two images."""
    uri: str
    base: str
    """The base image, with its digest if that is pinned."""


def wanted(options: Options) -> tuple[str, ...]:
    """The names of the images of a stage with these options."""
    return (*IMAGES, *([BULK] if options.bulk else []))


def images(root: Path, platform: Platform, which: Sequence[str] = IMAGES) -> tuple[Image, ...]:
    """The images of these containers of the repository at `root`, for this stage."""
    found, based = [], {BULK: bases.SPARK}
    for name in which:
        base = based.get(name, bases.PYTHON)
        base = training_base(root, platform.stage, platform.region) if name == "training" else base
        base = bases.pinned(root, base)
        repository, tag = platform.repository(name), _tag(root, name, base)
        uri = f"{platform.repository_uri(name)}:{tag}"
        found.append(Image(name=name, repository=repository, tag=tag, uri=uri, base=base))
    return tuple(found)


def image_tags(root: Path, platform: Platform, which: Sequence[str] = IMAGES) -> dict[str, str]:
    """The tag of each image by name. In the stage `local`, where no image runs, each tag is `local`."""
    if platform.stage == "local":
        return dict.fromkeys(which, "local")
    return {image.name: image.tag for image in images(root, platform, which)}


def say_of_bases(root: Path, found: Sequence[Image]) -> str:
    """A sentence on the base images that no digest pins; "" if all are pinned."""
    listed = bases.unpinned(root, (image.base for image in found if "@" not in image.base))
    if not listed:
        return ""
    return (
        f"images are built on what these tags mean today: expected their digests in {bases.FILE}, got none for "
        f"{', '.join(listed)}; `make bases AWS=--aws` writes them, and the workflow patch proposes them every week"
    )


def publish(root: Path, ecr: Any, found: Sequence[Image], source: Platform | None = None) -> dict[str, str]:
    """The digest of each image by name. Builds and pushes the images that their repositories do not have.

    With a `source`, the stage from which versions are pulled, the image that serves them is copied in place of a build:
    a second build would give another digest."""
    # Docker logs in to the account's own registry, and to AWS's registry with the base image of training.
    hosts = {uri.partition("/")[0] for image in found for uri in (image.uri, image.base) if bases.OF_AWS.match(uri)}
    login(ecr, hosts | ({source.repository_uri("").partition("/")[0]} if source else set()))

    def command(image: Image) -> list[str]:
        return copy(image, source) if source and image.name == SERVING else build(image)

    return {image.name: _held(ecr, image) or _made(root, ecr, image, command(image)) for image in found}


def copy(image: Image, source: Platform) -> list[str]:
    """The command that copies the image of the same sources from the other stage, with its digest.

    https://docs.docker.com/reference/cli/docker/buildx/imagetools/create/"""
    there = f"{source.repository_uri(image.name)}:{image.tag}"
    return ["docker", "buildx", "imagetools", "create", "--prefer-index=false", "--tag", image.uri, there]


def build(image: Image) -> list[str]:
    """The command that builds the image and pushes it, without anything that would make it an image index."""
    return [
        "docker", "buildx", "build", "--platform", ARCHITECTURE, "--provenance=false", "--sbom=false",
        "--file", f"millrace/containers/{image.name}/Dockerfile",
        "--build-arg", f"BASE={image.base}",
        "--output", f"type=image,name={image.uri},push=true,oci-mediatypes=false",
        ".",
    ]  # fmt: skip


def _made(root: Path, ecr: Any, image: Image, command: Sequence[str]) -> str:
    with tempfile.TemporaryDirectory() as context:
        for file in _sources(root, image.name):
            copied = Path(context, file.relative_to(root))
            copied.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copied)
        subprocess.run(command, cwd=context, check=True)
    digest = _held(ecr, image)
    if digest is None:
        raise ConfigurationError(where=image.uri, field="push", expected="an image in the repository", came="none")
    return digest


def _held(ecr: Any, image: Image) -> str | None:
    """The digest that the repository has under the image's tag; None if it has no such tag.

    Raises ConfigurationError if SageMaker would refuse the image."""
    try:
        answer = ecr.describe_images(repositoryName=image.repository, imageIds=[{"imageTag": image.tag}])
    except ecr.exceptions.ImageNotFoundException:
        return None
    held = answer["imageDetails"][0]
    if held["imageManifestMediaType"] != TAKEN:
        raise ConfigurationError(
            where=image.uri, field="media type", expected=TAKEN, came=held["imageManifestMediaType"]
        )
    return str(held["imageDigest"])


def note(ssm: Any, platform: Platform, found: Sequence[Image], digests: Mapping[str, str]) -> None:
    """Write the digest of each image to its parameter. The parameters of other tags stay, for other commits."""
    for image in found:
        ssm.put_parameter(
            Name=platform.digest_parameter(image.name, image.tag),
            Description=f"Digest of {image.uri}",
            Value=digests[image.name],
            Type="String",
            Overwrite=True,
        )


def missing_digests(platform: Platform, tags: Mapping[str, str]) -> dict[str, str]:
    """The images without a digest in the account, each with the name of its parameter.

    Empty if the credentials may not read parameters (see `published`)."""
    parameters = {platform.digest_parameter(image, tag): image for image, tag in tags.items()}
    found = published(platform, parameters)
    return {} if found is None else {image: name for name, image in parameters.items() if name not in found}


def _tag(root: Path, name: str, base: str) -> str:
    """Sixteen digits of the SHA-256 over the Dockerfile, the files that it copies, the base and the architecture."""
    # The NULs keep names and contents apart.
    digest = hashlib.sha256(f"{base}\0{ARCHITECTURE}".encode())
    for file in _sources(root, name):
        digest.update(f"\0{file.relative_to(root)}\0".encode() + file.read_bytes())
    return digest.hexdigest()[:16]


def _sources(root: Path, name: str) -> list[Path]:
    """The Dockerfile and the files that it copies, all that the builder is sent."""
    dockerfile = root / "millrace" / "containers" / name / "Dockerfile"
    # `COPY a b /there` copies `a` and `b`. A line of the Dockerfile may go on after a backslash.
    lines = re.findall(r"^COPY (.+)$", dockerfile.read_text().replace("\\\n", " "), re.M)
    named = [root / source for line in lines for source in line.split()[:-1]]
    inside = [path for source in named if source.is_dir() for path in source.rglob("*") if path.suffix != ".pyc"]
    return sorted({dockerfile, *(path for path in [*named, *inside] if path.is_file())})


def run(root: Path, stage: str) -> dict[str, str]:
    """Publish the images of a stage and note their digests in SSM; the digests by name.

    None is noted while a scan gives a reason to refuse an image (see `scans`). Account and region are those of the
    caller's credentials."""
    import boto3

    account, region = boto3.client("sts").get_caller_identity()["Account"], boto3.session.Session().region_name
    platform = Platform(stage=stage, account=account, region=region)
    options = declared_options(stage)
    found = images(root, platform, wanted(options))
    if said := say_of_bases(root, found):
        print(said, file=sys.stderr)
    ecr, shared = boto3.client("ecr"), options.pulls_from
    digests = publish(root, ecr, found, shared.platform(region) if shared else None)
    scanned = {image.uri: scans.findings(ecr, image.repository, digests[image.name]) for image in found}
    if refused := scans.refused(scanned, options.accepted_findings, datetime.datetime.now(datetime.UTC).date()):
        print(*refused, sep="\n", file=sys.stderr)
        expected = "no critical or high finding with a fix at hand, but for those of accepted_findings"
        raise ConfigurationError(where="images", field="scan", expected=expected, came=len(refused))
    note(boto3.client("ssm"), platform, found, digests)
    return digests


def main() -> None:
    """Publish the images of the named stage and print their digests."""
    parser = argparse.ArgumentParser(prog="python -m millrace.infra.images", description=__doc__)
    parser.add_argument("--stage", required=True)
    for name, digest in run(SUITE, parser.parse_args().stage).items():
        print(f"{name} {digest}")


if __name__ == "__main__":
    main()
