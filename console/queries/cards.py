"""The model card of a version and its AI-BOM, checked against the digests that the registry keeps."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from millrace.artefact.artefact import digest
from millrace.console.environment import Environment
from millrace.console.queries.stored import find_object
from millrace.console.queries.versions import registry_of, state_of
from millrace.errors import ArtefactError, EnvironmentNotFoundError
from millrace.names import WorkloadNames
from millrace.release.bom import BOM_FILE
from millrace.release.card import CARD_FILE, ModelCard
from millrace.release.registry import Package
from millrace.state.pointers import ReleasePointers


@dataclass(frozen=True, kw_only=True)
class VersionCard:
    """The card of one version, as registration wrote it."""

    version: str
    approval: str
    name: str
    """The card's name in SageMaker."""
    card: ModelCard


def find_package(environment: Environment, names: WorkloadNames, version: str = "") -> Package:
    """The package of this version; without a version the live one, or else the newest.

    Raises EnvironmentNotFoundError if there is no such version."""
    found = list(registry_of(environment, names).all())
    champion = ReleasePointers(state_of(environment, names)).champion()
    # `found` is newest first, so without a wanted version the newest one is taken.
    wanted = version or (champion.version if champion else "")
    package = next((one for one in found if not wanted or one.version == wanted), None)
    if package is None:
        came = ", ".join(one.version for one in found) or "none"
        raise EnvironmentNotFoundError(f"VERSION: expected a registered version ({came}), got {wanted or 'nothing'}")
    return package


def find_document(
    environment: Environment, names: WorkloadNames, version: str, *, file: str, digest_key: str
) -> tuple[Package, bytes | None]:
    """The version's package and the content of a file of its run; None as content if the version has no such file.

    `digest_key` names the metadata with the file's digest. Raises ArtefactError if the file was altered."""
    package = find_package(environment, names, version)
    run, known = package.metadata.get("run", ""), package.metadata.get(digest_key, "")
    content = find_object(environment.client("s3"), names.run_uri(run, file)) if run and known else None
    if content is not None and (came := digest(content)) != known:
        raise ArtefactError(f"version {package.version}: {file}: expected digest {known}, got {came}")
    return package, content


def read_card(environment: Environment, names: WorkloadNames, version: str = "") -> VersionCard:
    """The version's card. Raises ArtefactError if the version has no card, and if the card was altered."""
    package, content = find_document(environment, names, version, file=CARD_FILE, digest_key="card_digest")
    if content is None:
        advice = "declare `card` in workload.yaml and train again"
        raise ArtefactError(f"version {package.version}: expected a model card, there is none: {advice}")
    return VersionCard(
        version=package.version,
        approval=package.approval,
        name=package.metadata["card"],
        card=ModelCard.model_validate_json(content),
    )


def read_bom(environment: Environment, names: WorkloadNames, version: str = "") -> tuple[str, dict[str, Any]]:
    """The version's number and its bill of materials.

    Raises ArtefactError if the document was altered, does not exist or is not valid."""
    package, content = find_document(environment, names, version, file=BOM_FILE, digest_key="bom_digest")
    if content is None:
        came = f"{BOM_FILE} of its run is not there"
        raise ArtefactError(f"version {package.version}: expected a bill of materials, {came}")
    if problem := invalid(content.decode()):
        raise ArtefactError(f"version {package.version}: {BOM_FILE}: expected a CycloneDX 1.6 document, got {problem}")
    document: dict[str, Any] = json.loads(content)
    return package.version, document


def invalid(content: str) -> str:
    """Why the text is not a CycloneDX 1.6 document; empty if it is valid."""
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(content)
    return str(getattr(error, "data", error))[:300] if error else ""
