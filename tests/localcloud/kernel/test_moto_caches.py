"""What is worked out once: the service of a host, a JSONPath; and moto is as it was when the cloud ends."""

from __future__ import annotations

from pathlib import Path

from moto.moto_server.werkzeug_app import DomainDispatcherApplication
from moto.stepfunctions.parser.asl.component.common.path import result_path
from moto.stepfunctions.parser.asl.utils import json_path

from localcloud.kernel.server import running


def test_each_host_and_each_path_is_worked_out_once(tmp_path: Path) -> None:
    plain, plain_parse = DomainDispatcherApplication.get_backend_for_host, json_path.parse
    with running(tmp_path, fillers=("kernel",)) as cloud:
        find = DomainDispatcherApplication.get_backend_for_host
        for _ in range(3):
            cloud.client("sqs").list_queues()
        # Each thread of the cloud asks the one dispatcher.
        assert find.cache_info().hits >= 2  # type: ignore[attr-defined]
        assert json_path.parse("$.a[0]") is json_path.parse("$.a[0]")
        assert result_path.parse is json_path.parse
        assert json_path.extract_json("$.a[0]", {"a": [7]}) == 7
        assert json_path.extract_json("$.a[0]", {"a": [8]}) == 8
    assert DomainDispatcherApplication.get_backend_for_host is plain
    assert json_path.parse is plain_parse
    assert json_path.parse("$.a[0]") is not json_path.parse("$.a[0]")
