"""The stream of the audit table becomes the chain of each workload."""

import json
from copy import deepcopy
from itertools import count

import pytest
from pydantic import ValidationError

from localcloud.s3.install import make_conditional_puts_atomic
from millrace.state.audit_chain import AuditChain, Link

NUMBERS = count()


@pytest.fixture
def handler(aws, load):
    make_conditional_puts_atomic()
    return load("audit_chain")


def links(aws, workload):
    chain = AuditChain(aws.s3, bucket=aws.names.platform.bucket("audit"), workload=workload)
    return [Link.decode(chain.read(stored)) for stored in chain.links()][::-1]


def record(event, *, workload="electricity", sort="a", kind="INSERT"):
    """A change of its own each time."""
    (one,) = deepcopy(event("audit_chain"))["Records"]
    item = one["dynamodb"]
    item["SequenceNumber"] = f"{next(NUMBERS):021d}"
    item["Keys"] = {"pk": {"S": workload}, "sk": {"S": sort}}
    item["NewImage"] |= item["Keys"]
    if kind == "REMOVE":
        del item["NewImage"]
    return one | {"eventName": kind}


def test_each_record_is_a_link_of_its_workload(aws, handler, event):
    batch = {"Records": [record(event, sort="a"), record(event, workload="xray"), record(event, sort="b")]}
    assert handler(batch) == {"added": 3}
    assert handler(batch) == {"added": 0}, "Lambda brings a batch again whose answer was lost"
    assert [(link.number, link.record["sk"]["S"]) for link in links(aws, "electricity")] == [(1, "a"), (2, "b")]
    assert [link.number for link in links(aws, "xray")] == [1]
    assert links(aws, "electricity")[0].record["event"] == {"S": "retrain.refused"}


def test_a_record_that_somebody_changed_or_removed_is_in_the_chain_too(aws, handler, event):
    handler({"Records": [record(event), record(event, kind="MODIFY"), record(event, kind="REMOVE")]})
    found = links(aws, "electricity")
    assert [link.kind for link in found] == ["INSERT", "MODIFY", "REMOVE"]
    assert found[2].record == {"pk": {"S": "electricity"}, "sk": {"S": "a"}}


def test_an_item_that_is_removed_put_and_removed_again_makes_three_links(aws, handler, event):
    for kind in ("REMOVE", "INSERT", "REMOVE"):
        batch = {"Records": [record(event, kind=kind)]}
        assert [handler(batch), handler(batch)] == [{"added": 1}, {"added": 0}]
    assert [link.kind for link in links(aws, "electricity")] == ["REMOVE", "INSERT", "REMOVE"]


def test_what_is_no_record_fails_the_batch(handler, event):
    strange = json.loads(json.dumps(event("audit_chain")).replace("INSERT", "TRUNCATE"))
    with pytest.raises(ValidationError):
        handler(strange)
