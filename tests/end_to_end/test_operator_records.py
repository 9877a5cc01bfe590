"""What an operator reads after the fourteen months, by the commands themselves."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from math import nextafter
from pathlib import Path
from random import Random
from typing import Any

import _cffi_backend
import cryptography
import pytest

from millrace.console.dossier import verify
from millrace.console.environment import Environment, local_environment
from millrace.console.local_cloud.local_cloud import PLATFORM
from millrace.console.queries.decisions import find_days
from millrace.console.queries.lineage import trace
from millrace.console.queries.link import Link
from millrace.console.queries.model_validation import CHECKS, OPENING, is_valid, validate_package
from millrace.console.queries.replay import archived
from millrace.decisions.store import find_decision
from millrace.errors import ConfigurationError
from tests.end_to_end.callers import typed
from tests.end_to_end.conftest import Lived


@pytest.fixture(scope="module")
def place(lived: Lived) -> Environment:
    return local_environment(lived.cloud)


@pytest.fixture(scope="module")
def last_decision(lived: Lived, place: Environment) -> str:
    day = next(find_days(place, lived.names))
    return day.decisions[-1].id


def test_why(last_decision: str) -> None:
    """From the last decision to the eight files and the labels of the months before."""
    links = typed("why", last_decision)
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


def test_a_row_is_traced_to_its_file_and_its_learners(lived: Lived) -> None:
    [found] = typed("data", "log", "--where", "timestamp = timestamp '1996-06-01 00:00:00'")
    assert (found["what"], found["left_with"]) == ("training/1996-06.parquet", "")
    assert found["learnt_by"][:2] == ["1", "2"]
    assert typed("data", "log", "--where", "timestamp > timestamp '2031-01-01 00:00:00'") == []


def test_why_replayed(lived: Lived, place: Environment, last_decision: str) -> None:
    """Decisions of requests, and of a file's rows, by the archived version: the same bits; a changed bit is told."""
    found = typed("why", last_decision, "--replay")
    assert (found["version"], found["differences"]) == ("2", [])
    assert found["kept"] == found["again"]
    assert found["kept"].keys() >= {"value", "probability", "confidence"}
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


def test_the_audit_of_the_fourteen_months_is_whole(lived: Lived) -> None:
    """What the functions recorded in the story is in the locked bucket, link by link."""
    lived.rest()
    (found,) = typed("audit", "verify")
    assert found["workload"] == lived.names.workload
    assert found["records"] == found["links"] > 4
    assert typed("audit", "verify", "--workload", lived.names.workload, "--head", found["head"])


@pytest.mark.parametrize("version", ["1", "2"])
def test_a_registered_version_passes_every_check_and_is_as_it_was_signed(
    lived: Lived, place: Environment, version: str
) -> None:
    findings = validate_package(place, lived.names, version)
    assert [(one.check, one.passed) for one in findings] == [(name, True) for name in (*OPENING, *CHECKS)], findings
    assert is_valid(findings)


def test_a_reader_without_us_verifies_the_dossier_and_finds_each_tampered_byte(lived: Lived, tmp_path: Path) -> None:
    """A process that has `cryptography` alone; then a thousand changed bytes, with the manifest left and made anew."""
    opened = typed("incident", "open", "--reason", "refuses whole suburbs", "--serious", "--wait")["run"]
    typed("rollback", "--reason", "worse since Tuesday", "--wait")
    typed("incident", "close", opened[:8], "--reason", "rolled back", "--wait")
    for known in (opened, ""):
        with pytest.raises(ConfigurationError, match="none is open"):
            typed("incident", "close", known, "--reason", "again")
    over, begun = typed("incident", "list")
    who = "arn:aws:sts::123456789012:user/moto"
    assert [begun["details"][name] for name in ("incident", "is_serious", "version", "by")] == [opened, True, "2", who]
    assert [over["details"][name] for name in ("incident", "version", "reason")] == [opened, "1", "rolled back"]
    folder, packages, chance = tmp_path / "dossier", tmp_path / "packages", Random(1)
    made = typed("dossier", "--output", str(folder))
    packages.mkdir()
    for one in map(Path, (cryptography.__path__[0], _cffi_backend.__file__)):
        (packages / one.name).symlink_to(one)
    command = [sys.executable, "-S", "-B", folder / "verify.py", "--key", made["key"], "--head", made["head"]]

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, env={"PYTHONPATH": str(packages)}, capture_output=True, text=True)

    read = run()
    assert (read.returncode, read.stdout.split("\n")[0]) == (0, f"verified: {made['lines']} lines"), read.stderr
    page = (folder / verify.PAGE).read_text()
    assert 'data-at="provenance.sig#/predicate/runDetails/builder">' in page
    for words in ("release.rolled_back", "worse since Tuesday", "incident.opened", "refuses whole suburbs"):
        assert re.search(rf'<td data-at="audit.jsonl#/\d+/record/[^"]*">{words}</td>\n<td>verified</td>', page)
    assert re.search(r'<td data-at="workload.json#/duties/oversight">dispatch desk</td>\n<td>declared</td>', page)
    assert page.count("<td>verified</td>") + page.count("<td>declared</td>") == made["lines"] > 200
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    for number in range(1000):
        # Half of them any byte of any file; half a byte of a document whose forger makes the manifest anew.
        name = chance.choice([*verify.SIGNED, verify.KEY, verify.AUDIT] if number % 2 else sorted(files))
        changed = bytearray(files[name])
        changed[chance.randrange(len(changed))] ^= chance.randrange(1, 256)
        (folder / name).write_bytes(changed)
        if number % 2:
            rewrite(folder, {**files, name: bytes(changed)})
        with pytest.raises(verify.WrongError, match=None if name == verify.MANIFEST else name):
            verify.verify(folder, key=made["key"], head=made["head"])
        for one in (name, verify.MANIFEST):
            (folder / one).write_bytes(files[one])
    for wrong in ({"key": "0" * 64}, {"head": f"1:{'0' * 64}"}, {"head": "99:00"}):
        with pytest.raises(verify.WrongError, match=r"public-key|audit\.jsonl: line (1|99): expected"):
            verify.verify(folder, **wrong)
    # A line that says what its document does not, and everything else made anew.
    (folder / verify.PAGE).write_text(page.replace(">energy-ml</td>", ">somebody</td>", 1))
    rewrite(folder, {path.name: path.read_bytes() for path in folder.iterdir()})
    assert (run().returncode, run().stderr[:33]) == (1, "NOT VERIFIED: dossier.html: line ")


def rewrite(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write a manifest of these files."""
    rest = {name: content for name, content in files.items() if name != verify.MANIFEST}
    (folder / verify.MANIFEST).write_bytes(verify.manifest_of(rest))
