"""What an operator reads after the fourteen months, by the commands themselves."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from math import nextafter
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from millrace.aws.objects import split_uri
from millrace.console.cli.app import app
from millrace.console.environment import Environment, local_environment
from millrace.console.local_cloud.local_cloud import PLATFORM, SECRET_VARIABLE
from millrace.console.queries.decisions import find_days
from millrace.console.queries.lineage import trace
from millrace.console.queries.link import Link
from millrace.console.queries.replay import archived
from millrace.decisions.store import find_decision
from millrace.errors import ArtefactError, EnvironmentNotFoundError
from tests.end_to_end.conftest import Lived

Run = Callable[..., Result]


@pytest.fixture
def run(lived: Lived, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`run("versions", "--json")`: the command's result."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", lived.cloud.endpoint_url)
    monkeypatch.setenv(SECRET_VARIABLE, lived.cloud.secret)
    monkeypatch.setenv("COLUMNS", "250")
    return lambda *words: CliRunner().invoke(app, words, catch_exceptions=False)


@pytest.fixture(scope="module")
def place(lived: Lived) -> Environment:
    return local_environment(lived.cloud)


@pytest.fixture(scope="module")
def last_decision(lived: Lived, place: Environment) -> str:
    day = next(find_days(place, lived.names))
    return day.decisions[-1].id


def test_why(run: Run, last_decision: str) -> None:
    """From the last decision to the eight files and the labels of the months before."""
    result = run("why", last_decision, "--json")
    links = json.loads(result.stdout)
    assert result.exit_code == 0
    assert {link["state"] for link in links} == {"checked", "recorded"}
    assert [link["what"] for link in links if link["state"] == "recorded"] == ["label", "rows from labels", "code"]
    assert len([link for link in links if link["what"] == "drop"]) == 8
    learnt = [link for link in links if link["what"] == "labels"]
    assert {link["what"] for link in links} == {
        "decision", "label", "model version", "endpoint configuration", "model", "training run", "dataset version",
        "data files", "drop",
        "labels", "rows from labels", "contract", "config", "code", "evaluation", "gate",
    }  # fmt: skip
    assert [len(link["digest"]) for link in links if link["digest"]] == [64] * (16 + len(learnt))
    assert "✓" in run("why", last_decision).stdout


def test_why_names_what_answered(lived: Lived, place: Environment) -> None:
    """Each version by its configuration, which of the one before is kept for a rollback; a file's row by its run."""
    days = [day for day in find_days(place, lived.names) if day.decisions[0].model_version]
    some = {(one.source, one.model_version): one.id for day in days for one in day.decisions if one.value is not None}
    chains = {of: {link.what: link for link in trace(place, lived.names, one)} for of, one in some.items()}
    assert chains.keys() >= {("api", "1"), ("api", "2"), ("batch", "1")}
    for (source, version), links in chains.items():
        if source == "batch":
            assert "endpoint configuration" not in links
            link = links["scoring run"]
        else:
            assert "scoring run" not in links
            link = links["endpoint configuration"]
            assert f"-v{version}-" in link.identity
        assert link.state == "checked", link


def test_why_replayed(run: Run, lived: Lived, place: Environment, last_decision: str) -> None:
    """Decisions of requests, and of a file's rows, by the archived version: the same bits; a changed bit is told."""
    found = json.loads(run("why", last_decision, "--replay", "--json").stdout)
    assert (found["version"], found["differences"]) == ("2", [])
    assert found["kept"] == found["again"]
    assert found["kept"].keys() >= {"value", "probability", "confidence"}
    assert "signed: the same bits" in run("why", last_decision, "--replay").stdout
    client, bucket = place.client("s3"), lived.names.platform.bucket("lake")
    days = [day for day in find_days(place, lived.names) if day.decisions[0].model_version]
    some = {one.source: one for day in days for one in day.decisions if one.model_version == "1" and one.value}
    kept = [find_decision(client, bucket, lived.names.workload, one.id, [one.event_time.date()])
            for one in some.values()]  # fmt: skip
    assert {one.decision.source for one in kept if one} == {"api", "batch"}
    with archived(place, lived.names, "1") as version:
        for one in kept:
            assert one is not None
            [again] = version.replay([one])
            assert again.differences == ()
            wrong = one.decision.output | {"probability": nextafter(one.decision.output["probability"], 0)}
            [altered] = version.replay([replace(one, decision=replace(one.decision, output=wrong))])
            [difference] = altered.differences
            assert (difference.cell, difference.kept) == ("probability", wrong["probability"])
            assert difference.bit is not None


def test_a_replay_says_what_is_missing(run: Run, lived: Lived, last_decision: str) -> None:
    s3, [uri] = lived.cloud.client("s3"), [
        one["model_data_url"] for one in json.loads(run("versions", "--json").stdout) if one["version"] == "2"
    ]  # fmt: skip
    bucket, key = split_uri(uri)
    content = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    s3.delete_object(Bucket=bucket, Key=key)
    try:
        with pytest.raises(EnvironmentNotFoundError, match="version 2: expected it in the registry and its archive"):
            run("why", last_decision, "--replay")
        s3.put_object(Bucket=bucket, Key=key, Body=content + b"\0")
        with pytest.raises(ArtefactError, match="as it was signed"):
            run("why", last_decision, "--replay")
    finally:
        s3.put_object(Bucket=bucket, Key=key, Body=content)


class Tampered:
    """S3 as it would answer if somebody had changed the objects whose key ends so."""

    def __init__(self, client: Any, ending: str) -> None:
        self._client, self._ending = client, ending

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def get_object(self, *, Key: str, **named: Any) -> Any:
        answer = self._client.get_object(Key=Key, **named)
        if Key.endswith(self._ending):
            content = answer["Body"].read()
            answer["Body"] = type("Body", (), {"read": lambda _: content + b"\n# x: 1\nx: 1\n"})()
        return answer


@pytest.mark.parametrize(
    ("ending", "broken"),
    [
        ("1996-08.parquet", {"drop"}),
        ("config/contract.yaml", {"contract"}),
        ("output/model.tar.gz", {"model"}),
    ],
)
def test_why_says_where_the_chain_breaks(
    lived: Lived, place: Environment, last_decision: str, ending: str, broken: set[str]
) -> None:
    s3 = Tampered(lived.cloud.client("s3"), ending)
    changed = Environment(platform=PLATFORM, client=lambda name: s3 if name == "s3" else lived.cloud.client(name))
    links: list[Link] = list(trace(changed, lived.names, last_decision))
    assert {link.what for link in links if link.state == "broken"} == broken
    assert len([link for link in links if link.state == "broken"]) == 1


def test_the_audit_of_the_fourteen_months_is_whole(run: Run, lived: Lived) -> None:
    """What the functions recorded in the story is in the locked bucket, link by link."""
    lived.rest()
    done = run("audit", "verify", "--json")
    assert done.exit_code == 0, done.stderr
    (found,) = json.loads(done.stdout)
    assert found["workload"] == lived.names.workload
    assert found["records"] == found["links"] > 4
    assert run("audit", "verify", "--workload", lived.names.workload, "--head", found["head"]).exit_code == 0
