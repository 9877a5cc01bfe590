"""The card of a version is the one that the registry names; the page says what it says."""

import json
from typing import Any

import boto3
import pytest

from millrace.artefact.artefact import digest
from millrace.console.environment import Environment
from millrace.console.pages.template import card_page
from millrace.console.queries.documents import find_document
from millrace.errors import ArtefactError, EnvironmentNotFoundError
from millrace.release.card import CARD_FILE, card_of
from millrace.release.registry import Package, Registry
from millrace.state.pointers import Pointers, ReleasePointers
from millrace.state.table import StateTable
from tests import builders
from tests.console.conftest import NAMES, make_stores, stage_of
from tests.millrace.release.test_card import records

BUCKET = NAMES.platform.bucket("artefacts")
CARD = card_of(records())


@pytest.fixture
def environment(account: None) -> Environment:
    found = stage_of()
    make_stores(found, "artefacts")
    found.client("sagemaker").create_model_package_group(ModelPackageGroupName=NAMES.package_group)
    return found


def registered(run: str, content: str = CARD, **metadata: str) -> Any:
    boto3.client("s3").put_object(Bucket=BUCKET, Key=f"{NAMES.workload}/runs/{run}/{CARD_FILE}", Body=content.encode())
    known = {"card": f"card-{run}", "card_digest": digest(CARD.encode())} | metadata
    candidate = builders.candidate(run=run, metadata={name: value for name, value in known.items() if value})
    return Registry(boto3.client("sagemaker"), group=NAMES.package_group).register(candidate)


def found(environment: Environment, version: str = "") -> tuple[Package, dict[str, Any]]:
    return find_document(environment, NAMES, version, file=CARD_FILE)


def test_the_card_of_the_live_version_else_of_the_named_one_else_of_the_newest(environment: Environment) -> None:
    first, _ = registered("a"), registered("b")
    assert found(environment)[0].version == "2"
    live = builders.version("1", package_arn=first.arn)
    ReleasePointers(StateTable(boto3.client("dynamodb"), NAMES)).move(Pointers(champion=live))
    assert found(environment)[0].version == "1"
    assert found(environment, "2")[0].metadata["card"] == "card-b"
    with pytest.raises(EnvironmentNotFoundError, match="expected a registered version \\(2, 1\\), got 7"):
        found(environment, "7")


def test_an_altered_card_and_a_version_without_one_are_refused(environment: Environment) -> None:
    registered("a", CARD.replace("1344", "9999"))
    with pytest.raises(ArtefactError, match=r"version 1: card.json: expected digest"):
        found(environment)
    registered("b", card_digest="")
    with pytest.raises(ArtefactError, match=r"version 2: expected card\.json, there is none"):
        found(environment)


def test_the_page_shows_use_figures_gates_and_digests_and_runs_nothing(environment: Environment) -> None:
    registered("a")
    package, card = found(environment)
    page = card_page(package, card)
    for words in ("Any decision on a person", "p99 0.08 ms", "95 % interval 0.11 to 0.15", "d" * 64, "statistics-ml"):
        assert words in page
    assert json.loads(CARD)["model_overview"]["model_id"] in page
    card |= {"model_overview": card["model_overview"] | {"model_owner": "<script>alert(1)</script>"}}
    assert "<script" not in card_page(package, card)
