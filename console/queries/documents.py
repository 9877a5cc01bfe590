"""What a version's run left beside the model: card and AI-BOM, signature, and the losses of each epoch."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from millrace.artefact.artefact import ARCHIVE, digest, digests_of, read_members
from millrace.artefact.signing import SIGNATURE_FILE, SignedVersion
from millrace.aws.objects import download, entries_below, read_object, split_uri
from millrace.console.environment import Environment
from millrace.console.queries.lineage import CHEAP_BYTES
from millrace.console.queries.stored import Unread, find_object, part, unpack
from millrace.console.queries.versions import find_package
from millrace.console.words import column
from millrace.errors import ArtefactError
from millrace.evaluation.agreement import SAMPLE_FILE
from millrace.evaluation.report import EVALUATION_FILE
from millrace.evaluation.sample import sample_digest
from millrace.messages.envelope import Message
from millrace.messages.monitor import BASELINE_FILE
from millrace.names import WorkloadNames
from millrace.release.bom import BOM_FILE
from millrace.release.card import CARD_FILE
from millrace.release.registry import Package
from millrace.release.signatures import ORIGIN_FILE, SigningKey, check_members, check_signature


def find_document(
    environment: Environment, names: WorkloadNames, version: str, *, file: str
) -> tuple[Package, dict[str, Any]]:
    """The version's package and a document of its run, as registration wrote it.

    Raises ArtefactError if the document does not exist, and if it was altered."""
    package = find_package(environment, names, version)
    known = package.metadata.get(next(name for name, parts in DOCUMENTS.items() if parts[-1] == file), "")
    uri = names.run_uri(package.metadata.get("run", ""), file)
    content = find_object(environment.client("s3"), uri) if known else None
    if content is None:
        advice = "train again, for a card with `card` in workload.yaml"
        raise ArtefactError(f"version {package.version}: expected {file}, there is none: {advice}")
    if (came := digest(content)) != known:
        raise ArtefactError(f"version {package.version}: {file}: expected digest {known}, got {came}")
    document: dict[str, Any] = json.loads(content)
    return package, document


DOCUMENTS: Mapping[str, tuple[str, ...]] = {
    "evaluation_digest": ("evaluation", EVALUATION_FILE),
    "baseline_digest": (BASELINE_FILE,),
    "sample_digest": ("evaluation", SAMPLE_FILE),
    "card_digest": (CARD_FILE,),
    "bom_digest": (BOM_FILE,),
    "origin_digest": (ORIGIN_FILE,),
}
"""By the name of a digest, where its file lies in the folder of the run."""
PUBLIC_KEY = "public-key.pem"


@dataclass(frozen=True, kw_only=True)
class Verified:
    """One digest that the signature covers."""

    what: str = column()
    """A member of the archive, a file of the run, or one of the registry's digests."""
    digest: str = column("{:.12}".format)
    """SHA-256 in hexadecimal digits."""
    compared_with: str = column()
    """What the digest was compared with: `archive`, `file` or `registry`."""


def signing_key(environment: Environment) -> SigningKey:
    """The stage's signing key."""
    return SigningKey(environment.client("kms"), environment.platform.signing_key_alias)


def verify_version(
    environment: Environment, names: WorkloadNames, version: str = "", *, folder: Path | None = None
) -> tuple[SignedVersion, tuple[Verified, ...]]:
    """What was signed, and each digest of it. With `folder`, the members, the signature and the public key are written
    there.

    Raises ArtefactError for the first digest that is not as it was signed, and if the folder has files."""
    package, s3 = find_package(environment, names, version), environment.client("s3")
    # First the signature itself, then what it covers: members, archive, documents.
    signed = check_signature(s3, signing_key(environment), names, package)
    where = f"version {package.version}"
    with tempfile.TemporaryDirectory() as root:
        archive = Path(root) / ARCHIVE
        download(s3, package.model_data_url, archive)
        whole, members = digest(archive.read_bytes()), read_members(archive)
    try:
        check_members(signed, digests_of(members))
    except ArtefactError as error:
        raise ArtefactError(f"{where}: {error}") from None
    run = package.metadata["run"]
    found = {ARCHIVE: ("artefact_digest", whole)} | dict(_documents(s3, names, run, signed))
    for file, (name, came) in found.items():
        if (expected := signed.digests.get(name)) != came:
            raise ArtefactError(f"{where}: {file}: expected {expected}, as it was signed, got {came or 'no file'}")
    if folder is not None:
        _write(folder, members, read_object(s3, names.run_uri(run, SIGNATURE_FILE)), signing_key(environment))
    # Digests without a file were compared with the registry by `check_signature`.
    compared = {name for name, _ in found.values()}
    return signed, (
        *(Verified(what=name, digest=value, compared_with="archive") for name, value in signed.members.items()),
        *(Verified(what=file, digest=value, compared_with="file") for file, (_, value) in found.items()),
        *(
            Verified(what=name, digest=value, compared_with="registry")
            for name, value in signed.digests.items()
            if name not in compared
        ),
    )


def _documents(s3: Any, names: WorkloadNames, run: str, signed: SignedVersion) -> Iterator[tuple[str, tuple[str, str]]]:
    """By file: the name of its digest, and what the digest is now. A stage without cards has no signed card.

    A file that the caller may not read is left out: `sample.jsonl` has rows."""
    for name, parts in DOCUMENTS.items():
        if name in signed.digests:
            content = part(lambda at=parts: find_object(s3, names.run_uri(run, *at)))  # type: ignore[misc]
            if not isinstance(content, Unread) or not content.is_denied:
                proven = sample_digest if parts[-1] == SAMPLE_FILE else digest
                yield parts[-1], (name, proven(content) if isinstance(content, bytes) else "")


def _write(folder: Path, members: Mapping[str, bytes], signature: bytes, key: SigningKey) -> None:
    """Write what is needed to check the signature without AWS. Raises ArtefactError if the folder has files."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ArtefactError(f"{folder}: expected a folder that is empty or not there, got one with files, or a file")
    (folder / "model").mkdir(parents=True)
    for name, content in members.items():
        (folder / "model" / name).write_bytes(content)
    (folder / SIGNATURE_FILE).write_bytes(signature)
    (folder / PUBLIC_KEY).write_text(key.public_key())


class Epoch(Message):
    """One pass over the training rows."""

    epoch: int = Field(ge=0)
    """Counted from 0."""
    train_loss: float
    validation_loss: float
    validation_error: float
    """The mean error of the answers, as the task counts errors."""
    seconds: float = 0.0


def read_epochs(s3: Any, names: WorkloadNames, run: str) -> tuple[Epoch, ...]:
    """The epochs with finite losses. Empty if the artefact is missing, damaged or larger than CHEAP_BYTES.

    `run` is the name of the train execution."""
    bucket, prefix = split_uri(names.run_uri(run, "training", ""))
    found = [each for each in entries_below(s3, bucket, prefix) if each["Key"].endswith(f"/{ARCHIVE}")]
    if not found or found[-1]["Size"] > CHEAP_BYTES:
        return ()
    try:
        artefact = unpack(read_object(s3, f"s3://{bucket}/{found[-1]['Key']}"))
    except ArtefactError:
        return ()
    epochs = map(Epoch.model_validate, json.loads(artefact.history))
    return tuple(one for one in epochs if math.isfinite(one.train_loss) and math.isfinite(one.validation_loss))
