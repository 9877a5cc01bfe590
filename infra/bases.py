"""`make bases`: writes the digests of the base images of our images into `containers/bases.json`.

    {"public.ecr.aws/docker/library/python:3.13-slim": "sha256:…", "pytorch:2.13-cpu-amzn2023-sagemaker": null}

A tag such as `3.13-slim` moves when its image is patched. With a digest, the same commit builds the same image. A patch
is then a commit: the digest is part of our image's own tag, so that image is built anew. null means that nobody has
looked the digest up yet, and only the tag says what is built. AWS's images are named without their registry, since each
region has a registry of its own with the same images."""

from __future__ import annotations

import argparse
import json
import re
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from millrace.errors import ConfigurationError

FILE = Path("millrace/containers/bases.json")
PYTHON = "public.ecr.aws/docker/library/python:3.13-slim"
SPARK_RELEASE = "emr-spark-8.0.0"
"""https://docs.aws.amazon.com/emr/latest/EMR-Serverless-UserGuide/release-version-emr-spark-8.0.0.html"""
SPARK = f"public.ecr.aws/emr-serverless/spark/{SPARK_RELEASE}:latest"
OF_AWS = re.compile(r"\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(\.cn)?/")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def key_of(reference: str) -> str:
    """The reference as the file names it: without the registry, if that is AWS's."""
    return OF_AWS.sub("", reference)


def pins(root: Path) -> dict[str, str | None]:
    """The digest of each base image, None if it is not pinned. Raises ConfigurationError if a text is no digest."""
    found: dict[str, str | None] = json.loads((root / FILE).read_text())
    for reference, digest in found.items():
        _check(reference, digest)
    return found


def pinned(root: Path, reference: str) -> str:
    """The reference, with its digest if it is pinned. Raises ConfigurationError if the file does not list the image."""
    known = pins(root)
    if key_of(reference) not in known:
        raise ConfigurationError(where=str(FILE), field="base", expected=f"one of {sorted(known)}", came=reference)
    digest = known[key_of(reference)]
    return f"{reference}@{digest}" if digest else reference


def unpinned(root: Path, references: Iterable[str]) -> list[str]:
    """The references without a digest. An image that is built on one depends on the day."""
    return sorted({one for one in references if pinned(root, one) == one})


def refresh(root: Path, references: Iterable[str]) -> dict[str, tuple[str | None, str]]:
    """Look the references up and write the file; the digests that changed, as `{reference: (before, now)}`."""
    known, changed = pins(root), {}
    for reference in references:
        before, now = known.get(key_of(reference)), look_up(reference)
        if before != now:
            known[key_of(reference)], changed[reference] = now, (before, now)
    write(root, known)
    return changed


def write(root: Path, known: Mapping[str, str | None]) -> None:
    (root / FILE).write_text(json.dumps(dict(sorted(known.items())), indent=2) + "\n")


def look_up(reference: str) -> str:
    """The digest that the registry has under the tag now. For an image of several platforms it is that of the index."""
    words = ["docker", "buildx", "imagetools", "inspect", reference, "--format", "{{.Manifest.Digest}}"]
    digest = subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()
    _check(reference, digest)
    return digest


def _check(reference: str, digest: str | None) -> None:
    if digest is not None and not DIGEST.fullmatch(digest):
        raise ConfigurationError(where=reference, field="digest", expected="sha256:<64 digits>", came=digest)


def main() -> None:
    """Look up the base images and print what changed; AWS's images only with `--aws`, which needs credentials."""
    parser = argparse.ArgumentParser(prog="python -m millrace.infra.bases", description=__doc__)
    parser.add_argument("--aws", action="store_true", help="AWS's training images, too; docker is logged in to them")
    from millrace.workload.load import SUITE

    # Each stage may train on other instances, and so on another image of AWS's.
    references = [PYTHON, SPARK]
    if parser.parse_args().aws:
        import boto3

        from millrace.infra.aws_images import login, training_base

        region = boto3.session.Session().region_name
        references += sorted({training_base(SUITE, stage, region) for stage in ("dev", "prod")})
        login(boto3.client("ecr"), {one.partition("/")[0] for one in references if OF_AWS.match(one)})
    for reference, (before, now) in refresh(SUITE, references).items():
        print(f"{reference}: {before or 'not pinned'} -> {now}")


if __name__ == "__main__":
    main()
