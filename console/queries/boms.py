"""The bill of materials of a version, checked against the registry's digest and the schema of CycloneDX."""

from __future__ import annotations

import json
from typing import Any

from console.environment import Environment
from console.queries.cards import find_document
from millrace.errors import ArtefactError
from millrace.names import WorkloadNames
from millrace.release.bom import BOM_FILE


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
