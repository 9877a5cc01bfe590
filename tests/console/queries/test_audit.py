"""Records of the audit, and its chain against itself and the table: every byte, link and record counts."""

import base64
import hashlib
import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import pytest
from moto import mock_aws
from moto.s3.models import s3_backends

from localcloud.kernel.patching import undone
from localcloud.s3.install import make_conditional_puts_atomic
from millrace.console.environment import Environment
from millrace.console.queries import audit as records
from millrace.console.queries.audit import Verified, audited_workloads, verify_chain
from millrace.errors import EnvironmentNotFoundError
from millrace.operations.trail import trail_logs
from millrace.state.audit_chain import BEFORE_THE_FIRST, AuditChain, ChainChange, ChangeKind, Link, digest, link_key
from tests.audit_bucket import create_bucket
from tests.credentials import set_credentials
from tests.functions.cold_start import NAMES
from tests.recorded import compare, compare_folder
from tests.state_table import create_table

TABLE, BUCKET = NAMES.platform.audit_table, NAMES.platform.bucket("audit")
RECORDS = 4
FOUND = Path(__file__).parents[1] / "recorded/audit-chain"


class Audit:
    """A table and a chain with the same records, and ways to break them."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.s3, self.dynamodb = environment.client("s3"), environment.client("dynamodb")
        self.objects = s3_backends["123456789012"]["aws"].buckets[BUCKET].keys

    def add(self, number: int, *, workload: str = NAMES.workload, chained: bool = True) -> None:
        item = {"pk": {"S": workload}, "sk": {"S": f"1997-06-0{number}T06:00:00Z#0a"}, "actor": {"S": "guard"}}
        self.dynamodb.put_item(TableName=TABLE, Item=item)
        if chained:
            self.link(item, ChangeKind.ADDED)

    def link(self, item: Any, kind: ChangeKind) -> None:
        chain = AuditChain(self.s3, bucket=BUCKET, workload=item["pk"]["S"])
        assert chain.extend([ChainChange(kind=kind, record=item, at=datetime.now(UTC), sequence=str(uuid4()))]) == 1

    def item(self, number: int) -> Any:
        key = {"pk": {"S": NAMES.workload}, "sk": {"S": f"1997-06-0{number}T06:00:00Z#0a"}}
        return self.dynamodb.get_item(TableName=TABLE, Key=key)["Item"]

    def body(self, number: int) -> bytes:
        body: bytes = self.objects[link_key(NAMES.workload, number)].value
        return body

    def rewrite(self, number: int, body: bytes, *, checksum: bool = True) -> None:
        """In the storage itself, behind S3's back; with the checksum that S3 keeps, or without."""
        stored = self.objects[link_key(NAMES.workload, number)]
        stored.value = body
        if checksum:
            stored.checksum_value = base64.b64encode(hashlib.sha256(body).digest()).decode()

    def take_away(self, number: int) -> None:
        del self.objects[link_key(NAMES.workload, number)]

    def verify(self, head: str = "") -> Verified:
        return verify_chain(self.environment, NAMES.workload, head=head, patience_s=0)

    def first(self) -> tuple[str, str, str]:
        wrong = self.verify().wrong[0]
        return wrong.where, wrong.expected, wrong.came


@pytest.fixture
def audit(monkeypatch: pytest.MonkeyPatch) -> Iterator[Audit]:
    set_credentials(monkeypatch)
    with undone(), mock_aws():
        make_conditional_puts_atomic()
        clients = {name: boto3.client(name, region_name="eu-west-1") for name in ("s3", "dynamodb")}
        create_bucket(clients["s3"], BUCKET)
        create_table(clients["dynamodb"], TABLE)
        made = Audit(Environment(platform=NAMES.platform, client=clients.__getitem__))
        for number in range(1, RECORDS + 1):
            made.add(number)
        yield made


def test_a_whole_audit_has_nothing_wrong(audit: Audit) -> None:
    found = audit.verify()
    assert (found.records, found.links, found.wrong) == (RECORDS, RECORDS, ())
    assert found.head.startswith(f"{RECORDS}:")
    assert audit.verify(found.head).wrong == ()
    audit.add(5)
    assert audit.verify(found.head).wrong == (), "the head of earlier is still in the chain"


def test_a_record_that_comes_while_the_audit_is_read_is_no_finding(audit: Audit) -> None:
    """It is put and chained after one of table and chain was read, and before the other is."""
    clients: list[str] = []

    def client(name: str) -> Any:
        clients.append(name)
        if len(clients) == 2:
            audit.add(RECORDS + 1)
        return audit.environment.client(name)

    found = verify_chain(Environment(platform=NAMES.platform, client=client), NAMES.workload, patience_s=5)
    assert (found.wrong, found.links) == ((), RECORDS + 1)


def test_a_record_is_waited_for_however_long_the_first_reading_took(
    audit: Audit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has its link only after the chain was listed, and the reading lasts longer than the patience."""
    audit.add(RECORDS + 1, chained=False)
    read = AuditChain.read

    def slowly(chain: AuditChain, link: Any) -> bytes:
        if link.number == 1 and not late:
            late.append(audit.item(RECORDS + 1))
            time.sleep(0.3)
            audit.link(late[0], ChangeKind.ADDED)
        return read(chain, link)

    late: list[Any] = []
    monkeypatch.setattr(AuditChain, "read", slowly)
    found = verify_chain(audit.environment, NAMES.workload, patience_s=0.2)
    assert (found.wrong, found.links) == ((), RECORDS + 1)


def test_records_that_keep_coming_are_for_the_next_verification(audit: Audit, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each reading finds a record that has no link yet, while those of the reading before have theirs."""
    days, waiting = iter(range(5, 10)), list[int]()
    table = records._table

    def growing(environment: Environment, workload: str) -> Any:
        for number in waiting:
            audit.link(audit.item(number), ChangeKind.ADDED)
        waiting[:] = [next(days)]
        audit.add(waiting[0], chained=False)
        return table(environment, workload)

    monkeypatch.setattr(records, "_table", growing)
    assert verify_chain(audit.environment, NAMES.workload, patience_s=3).wrong == ()


def put_next(audit: Audit, record: Any) -> bytes:
    """Put a link behind the last one, with the right number and the digest of the link before."""
    link = Link(number=RECORDS + 1, previous=digest(audit.body(RECORDS)), kind=ChangeKind.ADDED, record=record)
    put(audit, link.encode())
    return link.encode()


def put(audit: Audit, body: bytes) -> None:
    audit.s3.put_object(Bucket=BUCKET, Key=link_key(NAMES.workload, RECORDS + 1), Body=body, ChecksumAlgorithm="SHA256")


@pytest.mark.parametrize(
    "record", ["abc", [], None, {"sk": "x"}, {"sk": {"S": "1997-06-01T06:00:00Z#0a"}, "actor": "guild"}, {"sk": {}}]
)
def test_a_link_whose_record_is_no_item_is_found(audit: Audit, record: Any) -> None:
    put_next(audit, record)
    where, expected, _ = audit.first()
    assert (where.split(",")[0], expected) == (f"link {RECORDS + 1}", "a link")


@pytest.mark.parametrize("body", [b"[" * 200_000, b"5"])
def test_a_link_that_is_no_link_is_found(audit: Audit, body: bytes) -> None:
    put(audit, body)
    assert audit.first()[1] == "a link"


def test_a_second_link_of_a_record_is_found(audit: Audit) -> None:
    put_next(audit, audit.item(1))
    assert audit.first()[1:] == ("one link of 1997-06-01T06:00:00Z#0a", "another one")


@pytest.mark.parametrize("number", range(1, RECORDS + 1))
def test_each_changed_byte_is_found(audit: Audit, number: int) -> None:
    """Also one of the newest link, which no other link names."""
    body = audit.body(number)
    for place in range(0, len(body), 5 if number == RECORDS else 29):
        audit.rewrite(number, body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :])
        wrong = audit.verify().wrong
        assert wrong, body[place : place + 20]
        assert f"link {number}" in wrong[0].where
    audit.rewrite(number, body)
    assert audit.verify().wrong == ()


def test_a_byte_that_does_not_fit_s3_s_own_checksum_is_found(audit: Audit) -> None:
    audit.rewrite(2, audit.body(2).replace(b"guard", b"guild"), checksum=False)
    where, expected, came = audit.first()
    assert (where, expected) == (f"link 2, s3://{BUCKET}/electricity/9999999998.json", "a link")
    assert "expected bytes with the checksum that S3 keeps of them" in came


BROKEN: dict[str, Callable[[Audit], Any]] = {
    "a link is gone": lambda audit: audit.take_away(2),
    "the newest link is gone": lambda audit: audit.take_away(RECORDS),
    "a record never came": lambda audit: audit.add(5, chained=False),
    "a record is gone from the table": lambda audit: audit.dynamodb.delete_item(
        TableName=TABLE, Key={key: value for key, value in audit.item(3).items() if key in ("pk", "sk")}
    ),
    "a record of the table says something else": lambda audit: audit.dynamodb.put_item(
        TableName=TABLE, Item=audit.item(3) | {"actor": {"S": "Mallory"}}
    ),
    "the stream brought a change": lambda audit: audit.link(audit.item(1), ChangeKind.CHANGED),
    "the stream brought a removal": lambda audit: audit.link(audit.item(1), ChangeKind.REMOVED),
    "a version was put over a link": lambda audit: audit.s3.put_object(
        Bucket=BUCKET, Key=link_key(NAMES.workload, 2), Body=b"{}", ChecksumAlgorithm="SHA256"
    ),
    "a link was hidden": lambda audit: audit.s3.delete_object(Bucket=BUCKET, Key=link_key(NAMES.workload, 2)),
}
"""What is found first of each is in tests/console/recorded/audit-chain: where, what was expected, and what came."""


@pytest.mark.parametrize("broken", BROKEN)
def test_what_is_wrong_is_found(audit: Audit, broken: str) -> None:
    BROKEN[broken](audit)
    compare(FOUND / f"{broken.replace(' ', '-')}.txt", "\n".join(audit.first()))
    compare_folder(FOUND, {f"{name.replace(' ', '-')}.txt" for name in BROKEN})


def test_what_is_gone_from_both_is_found_by_a_head_that_was_kept(audit: Audit) -> None:
    head = audit.verify().head
    audit.take_away(RECORDS)
    key = {name: value for name, value in audit.item(RECORDS).items() if name in ("pk", "sk")}
    audit.dynamodb.delete_item(TableName=TABLE, Key=key)
    assert audit.verify().wrong == (), "the control: nothing else remembers it"
    (wrong,) = audit.verify(head).wrong
    assert (wrong.where, wrong.came) == ("link 4", "none, the newest link is 3")


def test_the_head_of_an_empty_chain_stays_one(audit: Audit) -> None:
    assert audit.verify(f"0:{BEFORE_THE_FIRST}").wrong == ()
    (wrong,) = audit.verify(f"0:{'1' * 64}").wrong
    assert wrong.where == "link 0"


def test_a_head_is_a_number_and_a_digest(audit: Audit) -> None:
    for text in ("4", "4:abc", f"x:{'0' * 64}", f"4:{'G' * 64}", f"²:{'0' * 64}"):
        with pytest.raises(EnvironmentNotFoundError, match="--head: expected <number>:<digest>"):
            audit.verify(text)


def test_every_workload_with_a_record_or_a_link_is_verified(audit: Audit) -> None:
    audit.add(1, workload="gone", chained=False)
    audit.link({"pk": {"S": "erased"}, "sk": {"S": "x"}}, ChangeKind.ADDED)
    logs = f"{trail_logs(NAMES.platform)}/a.json.gz"
    audit.environment.client("s3").put_object(Bucket=BUCKET, Key=logs, Body=b"", ChecksumAlgorithm="SHA256")
    assert audited_workloads(audit.environment) == [NAMES.workload, "erased", "gone"]
    assert json.dumps(verify_chain(audit.environment, "gone", patience_s=0).wrong[0].expected)
