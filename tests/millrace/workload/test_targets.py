"""What a workload may reach outside its stage: nothing that a stage reads, and only what the stage's owner allows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from millrace.errors import WorkloadError
from millrace.names import Platform
from millrace.workload.load import load_workload
from millrace.workload.targets import check_targets, targets
from tests.consumers import DECLARED, HTTP, KEY, TABLE, with_consumers

DEV = Platform(stage="dev", account="123456789012", region="eu-west-1")
QUERY = {
    "schedule": "rate(1 day)",
    "feed": "scoring",
    "sql": "SELECT 1",
    "tables": {"shop.orders": "s3://lake/orders/"},
}
OTHERS = {"schedule": "rate(1 hour)", "feed": "labels", "cursor": "changed", "key_arn": KEY}
SECRET = "arn:aws:secretsmanager:eu-west-1:123456789012:secret"  # pragma: allowlist secret


def with_ends(folder: Path, **ends: Any) -> Path:
    own = with_consumers(folder, ends.pop("consumers", None))
    with (own / "workload.yaml").open("a") as declaration:
        declaration.write(yaml.safe_dump(ends) if ends else "")
    return own


def test_every_end_is_told_by_where_it_leads(tmp_path: Path) -> None:
    """Those of another workload lead out of no stage."""
    sources = {"shop": {**OTHERS, "http": HTTP}, "books": {**OTHERS, "postgres": TABLE}}
    folder = with_ends(tmp_path, sources=sources, queries={"orders": QUERY})
    found: dict[str, list[str]] = {}
    for field, target in targets(load_workload(folder), DEV):
        found.setdefault(field, []).append(target)
    assert found == {
        "consumers.event": ["arn:aws:events:eu-west-1:123456789012:event-bus/orders"],
        "consumers.mail": ["arn:aws:sns:eu-west-1:123456789012:loans"],
        "consumers.postgres": ["db.example.com", f"{SECRET}:ledger/writer-??????"],
        "consumers.queue": ["arn:aws:sqs:eu-west-1:123456789012:order-decisions", KEY],
        "consumers.table": ["arn:aws:dynamodb:eu-west-1:123456789012:table/decision-lookup"],
        "consumers.webhook": ["crm.example.com", f"{SECRET}:crm/signing-??????"],
        "queries.orders": ["s3://lake/orders/"],
        "sources.books": ["db.example.com", f"{SECRET}:s-??????", KEY],
        "sources.shop": ["shop.example.com", f"{SECRET}:shop-??????", KEY],
    }
    assert {*DECLARED} - {name.partition(".")[2] for name in found} == {"workload"}


@pytest.mark.parametrize("key", ["s3://millrace-dev-artefacts-123456789012-eu-west-1/xray/", "s3://zoo/"])
@pytest.mark.parametrize(
    ("name", "file", "more"), [("weights", "a/model.tar.gz", {}), ("pretrained", "a/b.safetensors", {"licence": "MIT"})]
)
def test_weights_of_elsewhere_are_a_target(tmp_path: Path, key: str, name: str, file: str, more: Any) -> None:
    own = with_consumers(tmp_path)
    declared = yaml.safe_load((own / "workload.yaml").read_text()) | {"consumers": {}}
    declared["training"][name] = {"from": f"{key}{file}", "digest": f"sha256:{'0' * 64}", **more}
    (own / "workload.yaml").write_text(yaml.safe_dump(declared))
    assert refused(own, []).partition("got ")[2] == (f"s3://zoo/{file}" if "zoo" in key else "")
    declared["training"][name]["from"] = f"{key}*/{file}"
    (own / "workload.yaml").write_text(yaml.safe_dump(declared))
    with pytest.raises(WorkloadError, match=rf"training.{name}.from"):
        load_workload(own)


FED, ELSEWHERE = "a target beside those of a stage", "no files of another stage than dev"
WEBHOOK = {"to": "webhook", "url": "https://crm.example.com/", "secret": "millrace-dev-crm"}


@pytest.mark.parametrize(
    ("ends", "refusal"),
    [
        ({"to": "queue", "queue": "arn:aws:sqs:eu-west-1:210987654321:millrace-prod-electricity-scores"}, FED),
        ({"to": "event", "bus": "millrace-dev-events"}, FED),
        ({"to": "table", "table": "millrace-prod-state"}, FED),
        ({"to": "mail", "topic": "millrace-prod-alarms"}, FED),
        ({"to": "queue", "queue": "orders-of-millrace"}, ""),
        (WEBHOOK, ""),
        ("s3://millrace-prod-lake-1-eu-west-1/x/", ELSEWHERE),
        ("s3://millrace-dev-lake/x/", ""),
    ],
)
def test_no_stage_is_a_target_in_any_account(ends: Any, refusal: str, tmp_path: Path) -> None:
    """What `dev` decides must not become rows, alarms or state of `prod`, nor rows of `dev` again."""
    consumers = {"theirs": WEBHOOK if isinstance(ends, str) else ends}
    queries = {"orders": QUERY | {"tables": {"shop.orders": ends}}} if isinstance(ends, str) else {}
    said = refused(with_ends(tmp_path, consumers=consumers, queries=queries), ["*"])
    assert said.partition(",")[0] == refusal


@pytest.mark.parametrize(
    ("allowed", "came"),
    [
        (None, ""),
        ((), "crm.example.com"),
        (("*.example.com",), f"{SECRET}:crm/signing-??????"),
        (("crm.example.com", f"{SECRET}:crm/*"), ""),
        (("crm.example.com.evil.example", f"{SECRET}:crm/*"), "crm.example.com"),
    ],
)
def test_the_owner_of_the_stage_says_what_may_be_reached(
    allowed: tuple[str, ...] | None, came: str, tmp_path: Path
) -> None:
    said = refused(with_ends(tmp_path, consumers={"crm": {"to": "webhook", **DECLARED["webhook"]}}), allowed)
    assert said.partition(" in cdk.json")[0] == ("one of stages.dev.targets" if came else "")
    assert said.endswith(came)


def refused(folder: Path, allowed: Sequence[str] | None) -> str:
    """What is expected, and what came; "" if nothing is refused."""
    try:
        check_targets(DEV, load_workload(folder), allowed)
    except WorkloadError as error:
        return f"{error.expected}, got {error.came}"
    return ""
