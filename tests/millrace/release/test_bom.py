"""A bill of materials is valid CycloneDX 1.7 and names the model, its rows, images and libraries."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from millrace.artefact.pretrained import PretrainedOrigin
from millrace.errors import ArtefactError
from millrace.evaluation.environment import Installed, installed
from millrace.release.bom import bom_of
from millrace.release.card import card_of
from tests.millrace.release.test_card import external, records

LIBRARIES = Installed(python="3.13.1", packages={"onnxruntime": "1.31.1", "Jinja2": "3.1.6", "torch": "2.13.0+cpu"})


def invalid(content: str) -> str:
    """Why the text is not a CycloneDX 1.7 document; empty if it is valid."""
    error = JsonStrictValidator(SchemaVersion.V1_7).validate_str(content)
    return str(getattr(error, "data", error)) if error else ""


def test_it_is_valid_and_the_same_again() -> None:
    made = bom_of(records(), LIBRARIES)
    assert invalid(made) == ""
    assert made == bom_of(records(), LIBRARIES)
    assert invalid(bom_of(records(), installed())) == ""


def test_an_external_model_depends_on_no_rows_and_no_training_of_ours() -> None:
    made = json.loads(bom_of(external(), LIBRARIES))
    assert invalid(json.dumps(made)) == ""
    assert made["dependencies"][0] == {"ref": "model", "dependsOn": ["serving-image"]}
    assert "training-image" not in {one["bom-ref"] for one in made["components"]}


def test_a_part_that_was_learnt_elsewhere_is_named_with_its_licence() -> None:
    given = records()
    origin = PretrainedOrigin(name="minilm", source="a package 1.0", licence="MIT", digest="ab" * 32)
    given = replace(given, description=replace(given.description, pretrained=origin))
    made = json.loads(bom_of(given, LIBRARIES))
    assert invalid(json.dumps(made)) == ""
    [part] = [one for one in made["components"] if one["bom-ref"] == "pretrained"]
    assert (part["name"], part["licenses"]) == ("minilm", [{"license": {"name": "MIT"}}])
    assert part["hashes"] == [{"alg": "SHA-256", "content": "ab" * 32}]
    assert "pretrained" in made["dependencies"][0]["dependsOn"]
    said = json.loads(card_of(given))["additional_information"]["custom_details"]
    assert {key: said[f"pretrained_{key}"] for key in ("name", "licence", "digest")} == {
        "name": "minilm",
        "licence": "MIT",
        "digest": "ab" * 32,
    }


def test_a_version_whose_libraries_nobody_wrote_down_has_none() -> None:
    with pytest.raises(ArtefactError, match="expected the libraries of the evaluation, got none"):
        bom_of(records(), Installed(python="3.13.1", packages={}))


COMPLETE = (
    "name version description supplier/name licenses tags pedigree externalReferences/distribution "
    "externalReferences/vcs modelCard/modelParameters/task modelCard/modelParameters/approach "
    "modelCard/modelParameters/datasets/0 modelCard/modelParameters/datasets/1 "
    "modelCard/quantitativeAnalysis/performanceMetrics modelCard/considerations/technicalLimitations "
    "modelCard/considerations/ethicalConsiderations modelCard/considerations/environmentalConsiderations "
    "properties/training properties/preprocessing properties/groups properties/confidence properties/rows "
    "properties/hyperparameter dependencies/0"
)
"""Where a document has the fields by which the OWASP AIBOM generator scores its completeness:
https://github.com/GenAI-Security-Project/aibom-generator/tree/main/docs/aibom-field-mapping."""


def test_it_has_95_of_100_of_the_fields_of_a_complete_document() -> None:
    """What is missing is the energy of the training, which nobody measures."""
    given = records()
    assert given.workload.card
    card = given.workload.card.model_copy(update={"licence": "MIT", "repository": "https://example.com/income"})
    made = json.loads(bom_of(replace(given, workload=given.workload.model_copy(update={"card": card})), LIBRARIES))
    assert invalid(json.dumps(made)) == ""
    missing = [path for path in COMPLETE.split() if not stands(made["metadata"]["component"] | made, path.split("/"))]
    assert missing == ["modelCard/considerations/environmentalConsiderations"]
    assert len(missing) / len(COMPLETE.split()) <= 0.05


def stands(document: Any, path: Sequence[str]) -> bool:
    """Whether something stands there; an entry of a list is named by its place, its type or the words of its name."""
    if not path:
        return document not in (None, "", [], {})
    if isinstance(document, list):
        names = [
            f"{at} {one.get('type')} {one.get('name', '').removeprefix('millrace:')}" for at, one in enumerate(document)
        ]
        return any(path[0] in name.split() and stands(one, path[1:]) for name, one in zip(names, document, strict=True))
    return path[0] in document and stands(document[path[0]], path[1:])
