"""What the workloads need, and what the account grants."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from millrace.console.doctor.quotas import Need, Quota, check_quotas, find_quotas, judge, required_instances
from millrace.workload.load import load_workload

WORKLOAD = load_workload(Path("workloads/electricity"))
NEED = Need(quota="ml.c6i.xlarge for endpoint usage", least=3, most=9, reason="electricity serves")
CODES = {"Concurrent executions": "L-B99A9384"}


class ServiceQuotas:
    """AWS's two lists, a page each: defaults of all, values of those that were changed."""

    def __init__(self, defaults: dict[str, float], changed: dict[str, float], *, denied: bool = False) -> None:
        self._lists = {"list_aws_default_service_quotas": defaults, "list_service_quotas": changed}
        self._denied = denied

    def get_paginator(self, operation: str) -> Any:
        lists, denied = self._lists, self._denied

        class Pages:
            def paginate(self, *, ServiceCode: str) -> Iterator[dict[str, Any]]:
                if denied:
                    raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, operation)
                for name, value in lists[operation].items():
                    code = CODES.get(name, "L-2F737F8D")
                    if (name == "Concurrent executions") is (ServiceCode == "lambda"):
                        yield {"Quotas": [{"QuotaName": name, "QuotaCode": code, "Value": value, "Adjustable": True}]}

        return Pages()


def test_two_workloads_take_turns_with_jobs_but_their_endpoints_stand() -> None:
    needs = {need.quota: need for need in required_instances([WORKLOAD, WORKLOAD], "prod")}
    training, endpoint = needs["ml.g5.xlarge for training job usage"], needs["ml.c6i.xlarge for endpoint usage"]
    assert (training.least, training.most) == (1, 2)
    assert (endpoint.least, endpoint.most) == (10, 18)


def test_a_changed_quota_counts_and_not_its_default() -> None:
    client = ServiceQuotas({"ml.c6i.xlarge for endpoint usage": 0.0}, {"ml.c6i.xlarge for endpoint usage": 4.0})
    assert find_quotas(client, "sagemaker")["ml.c6i.xlarge for endpoint usage"].value == 4


@pytest.mark.parametrize(
    ("value", "verdict", "told"),
    [
        (9.0, "ok", ""),
        (4.0, "ok", "for all of it: aws service-quotas request-service-quota-increase"),
        (2.0, "missing", "--service-code sagemaker --quota-code L-1 --desired-value 9"),
        (0.0, "missing", "electricity serves"),
    ],
)
def test_what_is_granted_is_judged(value: float, verdict: str, told: str) -> None:
    check = judge(NEED, Quota(service="sagemaker", code="L-1", name=NEED.quota, value=value, adjustable=True))
    assert (check.verdict, check.needed, check.found) == (verdict, "3, at most 9", f"{value:g}")
    assert told in check.advice


def test_what_is_not_listed_and_what_cannot_be_raised_is_said() -> None:
    assert judge(NEED, None).verdict == "unknown"
    fixed = Quota(service="sagemaker", code="L-1", name=NEED.quota, value=0, adjustable=False)
    assert "cannot be raised" in judge(NEED, fixed).advice


def test_a_quota_over_all_types_counts_where_the_account_has_one() -> None:
    needs = required_instances([WORKLOAD], "prod")
    across = {"Number of instances across all processing jobs": 1.0, "Number of instances across active endpoints": 2.0}
    fine = {need.quota: 20.0 for need in needs} | {"Concurrent executions": 1000.0}
    checks = {check.name: check for check in check_quotas(ServiceQuotas(fine, across), needs)}
    found = {name: (checks[name].needed, checks[name].verdict) for name in across}
    assert list(found.values()) == [("1, at most 3", "ok"), ("5, at most 9", "missing")]
    assert len(checks) == 8


def test_who_may_not_list_quotas_is_told_so() -> None:
    (check,) = check_quotas(ServiceQuotas({}, {}, denied=True), [NEED])
    assert (check.verdict, check.found) == ("unknown", "AccessDenied: no")
    assert json.dumps(vars(check))
