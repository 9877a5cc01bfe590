"""A version that another stage has released: signed by that stage's key, registered there, and live."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from millrace.artefact.artefact import ARCHIVE, Artefact, digest, read_archive, write_archive
from millrace.artefact.signing import SIGNATURE_FILE
from millrace.aws.objects import put_object
from millrace.names import WorkloadNames
from millrace.release.registry import Candidate, Package, Registry
from millrace.release.signatures import SigningKey, signed_version


def register_there(
    s3: Any, sagemaker: Any, key: SigningKey, names: WorkloadNames, artefact: Artefact, *, run: str, image: str
) -> Package:
    """The version of the run, which was not live yet. The clients are those of the other stage."""
    url = names.run_uri(run, "training", ARCHIVE)
    with TemporaryDirectory() as folder:
        path = Path(folder) / ARCHIVE
        write_archive(path, artefact)
        read, content = read_archive(path), path.read_bytes()
    links = {f"{link}_digest": value for link, value in vars(artefact.description.digests).items() if value}
    metadata = {**links, "model_digest": read.digest, "artefact_digest": digest(content)}
    put_object(s3, url, content)
    signed = signed_version(names, run=run, members=read.members, metadata=metadata)
    put_object(s3, names.run_uri(run, SIGNATURE_FILE), key.sign(signed.to_statement()))
    candidate = Candidate(
        run=run,
        image=image,
        model_data_url=url,
        evaluation_uri=names.run_uri(run, "evaluation", "evaluation.json"),
        instances=("ml.m6i.large",),
        metadata=metadata,
    )
    return Registry(sagemaker, group=names.package_group).register(candidate)


def release_there(sagemaker: Any, names: WorkloadNames, package: Package) -> str:
    """Make the version live there; its ARN."""
    execution = names.execution_arn("release", package.metadata["run"])
    Registry(sagemaker, group=names.package_group).mark_live(package, execution=execution)
    return package.arn
