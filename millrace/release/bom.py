"""The bill of materials of a version: an AI-BOM in CycloneDX 1.7. It names the model, its rows, images and libraries.

The libraries are those of the image that evaluated the model. The image that serves the model has fewer.

The document is plain JSON, since the function that writes it has no library for the format. The tests check it against
the published schema: https://cyclonedx.org/docs/1.7/json/.
"""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from millrace.errors import ArtefactError
from millrace.evaluation.environment import Installed
from millrace.release.card import Records, training_of
from millrace.timestamps import format_utc

BOM_FILE = "bom.cdx.json"
SPEC = "1.7"
MODEL, ROWS, PRETRAINED = "model", "rows", "pretrained"
TRAINING, SERVING, EVALUATION = "training-image", "serving-image", "evaluation-image"
"""The `bom-ref` of the components inside the document. The evaluation image depends on the libraries."""
Json = dict[str, Any]


def bom_of(records: Records, installed: Installed) -> str:
    """The document as JSON. The same records make the same bytes.

    Raises ArtefactError if `installed` names no library."""
    if not installed.packages:
        raise ArtefactError(f"{records.run.run}: {BOM_FILE}: expected the libraries of the evaluation, got none")
    libraries = list(_libraries(installed))
    trained_on = () if records.is_external else (ROWS, *[PRETRAINED] * bool(records.description.pretrained), TRAINING)
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": SPEC,
        # Derived from the URI, not random: a retry of the registration must write the same document.
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, records.model_data_url)}",
        "version": 1,
        "metadata": {"timestamp": format_utc(records.run.as_of), "component": _model(records)},
        "components": [_rows(records), *_pretrained(records), *_images(records), *libraries],
        "dependencies": [
            {"ref": MODEL, "dependsOn": [*trained_on, SERVING]},
            {"ref": EVALUATION, "dependsOn": [one["bom-ref"] for one in libraries]},
        ],
    }
    return json.dumps(document, indent=1)


def _model(records: Records) -> Json:
    report, digests, described, card = records.evaluation, records.digests, records.description, records.workload.card
    said = {
        "training": training_of(records)["training_observations"],
        "preprocessing": ", ".join(f"{one.kind} of {', '.join(one.columns)}" for one in described.features),
        "groups of people": ", ".join(records.groups) or "not measured",
        "confidence that acts": f"{report.automation.threshold}" if report.automation else "every answer acts",
        "rows explained": f"{report.explanations.rows if report.explanations else 0}",
        **{f"hyperparameter {name}": f"{value}" for name, value in described.parameters.items()},
    }
    origins = (described.pretrained, records.workload.training.weights)
    parents = [{"type": "machine-learning-model", "name": one.source} for one in origins if one]
    component: Json = {
        "type": "machine-learning-model",
        "bom-ref": MODEL,
        "name": records.workload.name,
        "version": records.run.run,
        "supplier": {"name": records.workload.owner},
        "tags": sorted({one.kind for one in described.features}),
        "hashes": [_sha256(digests["artefact_digest"])],
        "pedigree": {"ancestors": parents} if parents else {"notes": "not known" if records.is_external else "none"},
        "modelCard": {
            "modelParameters": {
                "approach": {"type": "supervised"},
                "task": report.task,
                "architectureFamily": described.family,
                "datasets": [{"ref": ROWS}, _test_rows(records)],
                "inputs": [{"format": f"{one.name} {one.dtype} {list(one.shape)}"} for one in described.signature],
                "outputs": [{"format": f"output float32 [{described.task.objective.width}]"}],
            },
            "quantitativeAnalysis": {"performanceMetrics": list(_metrics(records))},
        },
        "externalReferences": [
            {"type": "distribution", "url": records.model_data_url, "hashes": [_sha256(digests["artefact_digest"])]}
        ],
        "properties": [{"name": f"millrace:{name}", "value": one} for name, one in sorted({**digests, **said}.items())],
    }
    if card:
        component["description"] = card.intended_use
        component["modelCard"]["considerations"] = {
            "useCases": [card.intended_use],
            "technicalLimitations": [card.limitations, f"Not for: {card.out_of_scope}"],
            "ethicalConsiderations": [{"name": f"risk {card.risk}", "mitigationStrategy": card.risk_reason}],
        }
    if card and card.licence:
        component["licenses"] = [{"license": {"name": card.licence}}]
    if card and card.repository:
        component["externalReferences"].append({"type": "vcs", "url": card.repository})
    return component


def _test_rows(records: Records) -> Json:
    report = records.evaluation
    name = f"test rows: {report.rows.test}, {report.split.from_} to {report.split.to}"
    return {"type": "dataset", "name": name, "contents": {"url": records.manifest_uri}}


def _metrics(records: Records) -> Iterator[Json]:
    intervals = records.evaluation.intervals
    for name, value in records.evaluation.metrics.items():
        if value is None or not math.isfinite(value):
            continue
        figure: Json = {"type": name, "value": f"{value:.6g}", "slice": "test rows"}
        if (bounds := intervals.get(name)) and math.isfinite(bounds.low + bounds.high):
            figure["confidenceInterval"] = {"lowerBound": f"{bounds.low:.6g}", "upperBound": f"{bounds.high:.6g}"}
        yield figure


def _rows(records: Records) -> Json:
    return {
        "type": "data",
        "bom-ref": ROWS,
        "name": f"{records.workload.name} rows",
        "version": str(records.run.snapshot_id),
        "hashes": [_sha256(records.run.data_digest)],
        "data": [
            {
                "type": "dataset",
                "name": f"{records.run.tag}: {records.run.rows} rows",
                "contents": {"url": records.manifest_uri},
                "governance": {"owners": [{"organization": {"name": records.workload.owner}}]},
            }
        ],
    }


def _pretrained(records: Records) -> Iterator[Json]:
    """The frozen encoder that the model contains, with its licence; nothing if it has none."""
    if origin := records.description.pretrained:
        yield {
            "type": "machine-learning-model",
            "bom-ref": PRETRAINED,
            "name": origin.name,
            "description": origin.source,
            "hashes": [_sha256(origin.digest)],
            # By name: an SPDX id is checked against a list, and a file may say another licence.
            "licenses": [{"license": {"name": origin.licence}}],
        }


def _images(records: Records) -> Iterator[Json]:
    """The containers, with the digests of their images.

    In the stage `local`, which runs no image, the digest of the training container is that of its sources."""
    if not records.is_external:
        hashes = [_sha256(records.run.code_digest)]
        yield {"type": "container", "bom-ref": TRAINING, "name": "training", "hashes": hashes}
    for reference, image in ((SERVING, records.image), (EVALUATION, records.evaluation_image)):
        # An image is `<repository>@sha256:<digest>`, or has no digest.
        _, is_known, digest = image.rpartition("@sha256:")
        known = {"hashes": [_sha256(digest)]} if is_known else {}
        yield {"type": "container", "bom-ref": reference, "name": image, **known}


def _libraries(installed: Installed) -> Iterator[Json]:
    for name, version in sorted(installed.packages.items()):
        purl = f"pkg:pypi/{quote(name.lower().replace('_', '-'))}@{quote(version)}"
        yield {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


def _sha256(digest: str) -> Mapping[str, str]:
    return {"alg": "SHA-256", "content": digest}
