"""A person asks to be forgotten: after `millrace erase` nothing that the stage keeps has them."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml
from botocore.exceptions import ClientError

from millrace.aws.objects import put_object, read_object
from millrace.console.actions.reviews import Reviewer
from millrace.console.dossier.verify import WrongError, check_certificate, read_links
from millrace.console.environment import local_environment
from millrace.console.local_cloud.local_cloud import PLATFORM, SECRET_VARIABLE, started
from millrace.console.queries.audit import read_chain
from millrace.console.queries.lineage import trace
from millrace.console.queries.versions import audit_of
from millrace.errors import WithdrawalError
from millrace.messages.audit import AuditEvent
from millrace.names import WorkloadNames
from millrace.timestamps import format_utc
from tests.end_to_end.callers import keys_of, typed
from tests.end_to_end.everything import everything
from tests.kinds import CLOCK, UNTIMED, adults, merged
from tests.live import Live

NAMES = WorkloadNames(platform=PLATFORM, workload="married")
OWN = ("--workload", "married")
PERSON = "person-7f3a9c"
EVENT = Path(__file__).parents[2] / "events" / "prediction_rest.json"
"""A request with a key, whose answer is kept for whoever repeats it."""
KNOWN = 3200
COUNTS = {
    "landing/labels": 3,
    "landing/scoring": 2,
    "landing/training": 2,
    "lake/staging": 0,
    "lake/quarantine": 4,
    "lake/iceberg": 2,
    "lake/predictions": 1,
    "lake/decisions": 2,
    "state": 7,
}
"""The person's records in each store; in staging it is whole files, as many as there are."""
DECLARED: dict[str, Any] = {
    "policy": {"automate": {"promised_error": None, "confidence": 1}, "shadowed": False},
    "gates": {"latency": {"max_p99_ms": 500}},
}


def rows() -> pa.Table:
    """People of whom one is PERSON, in each of five parts."""
    table = adults()
    ids = [
        PERSON if at in (5, KNOWN, KNOWN + 200, KNOWN + 400) else each
        for at, each in enumerate(table["id"].to_pylist())
    ]
    is_married = pc.starts_with(table["marital_status"], "Married")
    chosen = table.select(["relationship", "education_num", "hours_per_week"])
    return chosen.add_column(0, "id", pa.array(ids)).append_column("married", is_married)


def csv(table: pa.Table, **cells: str) -> bytes:
    lines = [",".join(table.column_names)]
    for row in table.to_pylist():
        row |= cells if row["id"] == PERSON else {}
        lines.append(",".join(str(cell).lower() if isinstance(cell, bool) else str(cell) for cell in row.values()))
    return ("\n".join(lines) + "\n").encode()


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder, table = tmp_path_factory.mktemp("erase"), rows()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MILLRACE_WORKLOADS", str(folder / "workloads"))
        home, file = folder / "workloads" / NAMES.workload / "workload.yaml", folder / "married.parquet"
        pq.write_table(table.slice(0, KNOWN), file)
        words = ("--label", "married", *UNTIMED, "--minutes", "0", "--keep", "relationship")
        typed("new", NAMES.workload, "--from", str(file), *words, "--build", str(folder / "build"))
        home.write_text(yaml.safe_dump(merged(yaml.safe_load(home.read_text()), DECLARED)))
        with started(folder / "build", clock=CLOCK, workloads=[NAMES.workload]) as found:
            patch.setenv("AWS_ENDPOINT_URL", found.endpoint_url)
            patch.setenv(SECRET_VARIABLE, found.secret)
            yield Live(**vars(found), names=NAMES)


def named(cloud: Live) -> set[str]:
    """Where the person is named, but for the weights of models."""
    return {name for name, body in everything(cloud) if PERSON.encode() in body}


def removed(answer: dict[str, Any]) -> dict[str, int]:
    return {one["store"]: one["removed"] for one in answer["stores"]}


def test_whoever_may_take_a_drop_back_may_not_erase_a_person(cloud: Live) -> None:
    back, erasure = (NAMES.function_arn(function) for function in ("withdrawal", "erasure"))
    keys = keys_of(cloud, "undoer", **{"lambda:InvokeFunction": back})
    client = cloud.client("lambda", key=keys.access_key, token=keys.token)
    assert "FunctionError" in client.invoke(FunctionName=back, Payload=b"{}"), "it is let in, and names no drop"
    with pytest.raises(ClientError, match="AccessDenied"):
        client.invoke(FunctionName=erasure, Payload=b"{}")


def test_nothing_has_a_person_who_was_erased(cloud: Live, tmp_path: Path) -> None:
    table, s3, environment = rows(), cloud.client("s3"), local_environment(cloud)
    unlabelled = table.drop_columns(["married"])
    cloud.drop("training/known", table.slice(0, KNOWN))
    asked = cloud.ask("call", unlabelled.slice(KNOWN, 48).to_pylist())
    cloud.rest()
    event = json.loads(EVENT.read_text()) | {"body": json.dumps({"rows": unlabelled.slice(KNOWN, 1).to_pylist()})}
    call = {"FunctionName": NAMES.prediction, "Payload": json.dumps(event)}
    assert json.load(cloud.client("lambda").invoke(**call)["Payload"])["statusCode"] == 200
    cloud.rest()
    theirs, other = asked[0], asked[1]
    assert theirs["action"] == "review", json.dumps(theirs)
    reviewer = Reviewer.of(environment, NAMES, source="terminal")
    while held := reviewer.next():
        reviewer.answer(held, True, seconds=1)
    reviewer.finish()
    label = f"prediction_id,married\n{theirs['id']},true\n{other['id']},false\n".encode()
    for key, body in (
        ("scoring/asked.csv", csv(unlabelled.slice(KNOWN + 200, 48))),
        ("training/wrong.csv", csv(table.slice(KNOWN + 400, 40), hours_per_week="many")),
        ("training/wrong.csv", csv(table.slice(KNOWN + 400, 41), hours_per_week="more")),
        ("scoring/wrong.csv.gz", gzip.compress(csv(unlabelled.slice(KNOWN + 400, 40), hours_per_week="most"))),
        ("labels/late.csv", label),
    ):
        s3.put_object(Bucket=PLATFORM.bucket("landing"), Key=f"{NAMES.workload}/{key}", Body=body)
        cloud.rest()
    before, erase = named(cloud), ("erase", "--key", f"id={PERSON}", *OWN)
    with pytest.raises(WithdrawalError, match="--reason"):
        typed(*erase, "--reason", f"as {PERSON} has asked")
    preview = typed(*erase, "--preview", "--reason", "ticket 4711")
    assert {one["store"] for one in preview["stores"] if one["left"]} == COUNTS.keys()
    assert named(cloud) == before
    assert {"avro", "parquet", "csv", "jsonl", "gz"} <= {name.rpartition(".")[2] for name in before}

    certificate, backup_of = tmp_path / "erased.json", format_utc(cloud.now())
    items = cloud.client("dynamodb").scan(TableName=PLATFORM.state_table)["Items"]
    objects = {uri: read_object(s3, uri) for uri in before if re.search("/(decisions|predictions|quarantine)/", uri)}
    done = typed(*erase, "--reason", "ticket 4711", "--certificate", str(certificate))
    assert json.loads(certificate.read_text()) == done
    assert removed(done) == COUNTS | {"lake/staging": removed(done)["lake/staging"]}
    [learner] = done["learnt_by"]
    assert (learner["version"], learner["trained_at"] < learner["live_since"] < done["as_of"]) == ("1", True)
    assert (any(one["left"] for one in done["stores"]), named(cloud)) == (False, set())
    links, _ = read_links(b"".join(link + b"\n" for link in read_chain(environment, NAMES.workload)))
    assert check_certificate(certificate, links) == "is_done, is_preview, learnt_by"
    forged = tmp_path / "forged.json"
    for name in ("cause", "as_of", "by", "reason", "pseudonyms", "stores", "versions"):
        forged.write_text(json.dumps(done | {name: done[name][:-1]}))
        with pytest.raises(WrongError, match=r"forged\.json: expected"):
            check_certificate(forged, links)
    [record] = [one for one in audit_of(environment, NAMES) if one.event is AuditEvent.ROWS_ERASED]
    assert record.details.model_dump(mode="json").items() <= done.items()

    # A backup from before brings the person back.
    for item in items:
        cloud.client("dynamodb").put_item(TableName=PLATFORM.state_table, Item=item)
    for uri, body in objects.items():
        put_object(s3, uri, body)
    assert named(cloud) >= {*objects, *(name for name in before if name.startswith(PLATFORM.state_table))}
    restore = ("restore", "--backup-of", backup_of)
    assert [one["what"] for one in typed(*restore)] == ["erasure of one person"]
    assert (named(cloud), typed(*restore)) == (set(), [])
    first, again = [one.details for one in audit_of(environment, NAMES) if one.event is AuditEvent.ROWS_ERASED]
    assert (first.pseudonyms, first.by) == (again.pseudonyms, again.by)

    # All others are as they were, and what had the person says so.
    assert len(cloud.recorded()) == 48 + 1 + 48 + 39 - 3
    [dataset] = [link for link in trace(environment, NAMES, other["id"]) if link.what == "dataset version"]
    assert "erased" in dataset.detail
    second = table["id"][KNOWN + 201].as_py()
    own = ("--reason", "ticket 4712", *OWN, "--certificate", str(certificate), "--retrain")
    assert typed("erase", "--key", f"id={second}", *own)["training"] in {one["arn"] for one in typed("runs", *OWN)}
    rest = s3.get_object(Bucket=PLATFORM.bucket("landing"), Key=f"{NAMES.workload}/erased/scoring/asked.csv")
    assert rest["Body"].read() == csv(unlabelled.slice(KNOWN + 202, 46))
    cloud.rest()
    again = typed(*erase, "--reason", "ticket 4711", "--certificate", str(certificate))
    assert (again["stores"], again["learnt_by"]) == ([], [])
