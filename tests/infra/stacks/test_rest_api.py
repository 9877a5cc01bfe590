"""The REST API of a workload: from the workload's own document."""

from __future__ import annotations

import json
from pathlib import Path

from openapi_spec_validator import validate

from millrace.contract.load import load_contract
from millrace.workload.load import SUITE, load_workload
from millrace.workload.openapi import openapi


def test_api_gateway_gets_the_document_with_rows_left_open(other_workloads: Path) -> None:
    template = json.loads((other_workloads / "millrace-dev-income-serving.template.json").read_text())
    (api,) = (one["Properties"] for one in template["Resources"].values() if one["Type"] == "AWS::ApiGateway::RestApi")
    income = SUITE / "workloads" / "income"
    body, document = api["Body"], openapi(load_workload(income), load_contract(income))
    validate(body)
    assert list(body["paths"]) == list(document["paths"])
    request = body["components"]["schemas"]["Request"]
    assert request["properties"]["rows"]["items"] == {"type": "object"}
    document["components"]["schemas"]["Request"]["properties"]["rows"] = {"type": "array", "items": {"type": "object"}}
    assert request == document["components"]["schemas"]["Request"]
