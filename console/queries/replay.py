"""Answer a kept decision again: its own version from the archive, its own row, and the same bits or the difference.

    decision -> version -> signature, archive -> the serving container's program, in a process of its own -> the answer

Nothing of the cloud answers: what S3, the registry and KMS hold is read, and no more."""

from __future__ import annotations

import http.client
import json
import socket
import struct
import tempfile
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
from botocore.exceptions import ClientError

from millrace.artefact.artefact import Description, read_folder
from millrace.aws.objects import download, read_object
from millrace.console.environment import Environment
from millrace.console.local_cloud.processes import Process, Processes
from millrace.console.queries.decisions import act_again, acting_of, acting_then, missing, read_row, require_decision
from millrace.console.queries.documents import verify_version
from millrace.console.queries.stored import manifest_uris
from millrace.console.queries.versions import audit_of, registry_of
from millrace.contract.load import load_contract
from millrace.datasets.examples import read_rows
from millrace.decisions.policy import Acted
from millrace.decisions.record import Answered, Decision, canonical
from millrace.decisions.store import LocatedDecision
from millrace.errors import AnswerError, EnvironmentNotFoundError
from millrace.features.catalogue import Features
from millrace.names import WorkloadNames
from millrace.release.registry import Package
from millrace.tasks.answer import read_answer
from millrace.workload.load import read_workload

Ask = Callable[[Sequence[Mapping[str, Any]]], list[Mapping[str, Any]]]
"""Takes rows as a request in JSON has them; gives the prediction on each, or why it is rejected."""
START_S = 60.0
"""How long the program may take until it answers, and for an answer."""


@contextmanager
def serving(folder: Path, *, version: str, model_digest: str) -> Iterator[Ask]:
    """What answers rows while the block runs. `folder` holds the members in `model/`, as `/opt/ml` does.

    The process has no variables of AWS. It refuses members of another digest: then AnswerError has its last words."""
    processes = Processes(folder=folder)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    variables = {
        "MILLRACE_ML_ROOT": str(folder),
        "MILLRACE_MODEL_VERSION": version,
        "MILLRACE_MODEL_DIGEST": model_digest,
        "MILLRACE_BIND": "127.0.0.1",
        "MILLRACE_WORKERS": "1",
        "SAGEMAKER_BIND_TO_PORT": str(port),
    }
    try:
        program = processes.start(
            "serving", ["millrace.jobs.serving", "serve"], log="serving.log", environment=variables
        )
        _await(program, port)
        yield lambda rows: _ask(port, rows)
    finally:
        processes.stop()


def _ask(port: int, rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    status, content = _exchange(port, "POST", "/invocations", json.dumps({"rows": rows}, allow_nan=False).encode())
    if status != http.HTTPStatus.OK:
        raise AnswerError(
            f"rows: expected a prediction on each, got {status}: {content[:300].decode(errors='replace')}"
        )
    found: list[Mapping[str, Any]] = json.loads(content)["predictions"]
    return found


def _await(program: Process, port: int) -> None:
    """Wait until the program answers. Raises AnswerError with the end of its log if it does not."""
    end = time.monotonic() + START_S
    while time.monotonic() < end and not program.has_ended():
        try:
            if _exchange(port, "GET", "/ping")[0] == http.HTTPStatus.OK:
                return
        except OSError:
            time.sleep(0.02)
    said = program.log.read_text(errors="replace").splitlines()[-1:]
    raise AnswerError(f"millrace.jobs.serving: expected an answer within {START_S:g} s, got {' '.join(said) or 'none'}")


def _exchange(port: int, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START_S)
    try:
        connection.request(method, path, body, {"content-type": "application/json"})
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


AT_ONCE = 500
"""Rows of one request."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A cell of the answer that is another one now."""

    cell: str
    """`probability`, or `value[3]` for a part of a list."""
    kept: Any
    again: Any
    bit: int | None
    """The highest bit that differs, of the 64 of a number, counted from 0; None if a cell is no number."""


@dataclass(frozen=True, kw_only=True)
class Replay:
    """A decision beside what its version answers now."""

    decision: str
    version: str
    model_digest: str
    """The digest of the artefact's members: the registry keeps it, and the signature covers it."""
    kept: Mapping[str, Any]
    """The fields of the answer, and what was measured of the row, as the decision has them."""
    again: Mapping[str, Any]
    differences: tuple[Difference, ...]
    action: str
    """What was done with the answer, and why: `automated: sure`; empty without a policy."""
    action_again: str
    """The same by the policy that held, as far as the audit says it."""


def replay_decision(environment: Environment, names: WorkloadNames, wanted: str) -> Replay:
    """The decision with this id, answered again.

    Raises EnvironmentNotFoundError, which says what is missing: the decision, an answer of a model, the version, its
    archive, or a part of the row. Raises ArtefactError if the version is not as it was signed."""
    kept = require_decision(environment, names, wanted)
    with archived(environment, names, said_by_model(kept)[0]) as version:
        [found] = version.replay([kept])
    return found


def said_by_model(kept: LocatedDecision) -> tuple[str, Mapping[str, Answered]]:
    """The version that answered the row, and its answer: the naive rule's may have gone out in its place.

    Raises EnvironmentNotFoundError if there is none to compare with."""
    decision = kept.decision
    version, output = decision.model_version, decision.output
    if decision.withheld is not None:
        version, output = decision.withheld.model_version, decision.withheld.output
    if version is None:
        raise missing(kept, "a model's answer, got one of the fallback alone")
    if all(cell is None for cell in output.values()):
        raise missing(kept, "a model's answer, got none: its row was held out, and the delivered file leaves it empty")
    return version, output


@dataclass(frozen=True, kw_only=True)
class ArchivedVersion:
    """A version from the archive, with what answers by it while the block of `archived` runs."""

    environment: Environment
    names: WorkloadNames
    version: str
    package: Package
    description: Description
    ask: Ask

    def replay(self, decisions: Sequence[LocatedDecision]) -> list[Replay]:
        """The decisions, which this version has answered, in order. Raises as `replay_decision` does."""
        found: list[Replay] = []
        for first in range(0, len(decisions), AT_ONCE):
            some = decisions[first : first + AT_ONCE]
            answers = self.ask([self._row(one) for one in some])
            found += [self._compared(one, answer) for one, answer in zip(some, answers, strict=True)]
        return found

    def _row(self, kept: LocatedDecision) -> dict[str, Any]:
        """What the version reads of the decision's row, as a request carries it."""
        row = read_row(self.environment, self.names, kept, self.description.features)
        cells = {name: row.get(name) for name in self.description.inputs}
        return {name: b64encode(cell).decode() if isinstance(cell, bytes) else cell for name, cell in cells.items()}

    def _compared(self, kept: LocatedDecision, answer: Mapping[str, Any]) -> Replay:
        if reason := answer.get("rejected"):
            raise AnswerError(f"decision {kept.decision.id}: expected an answer, got a rejection: {reason}")
        _, said = said_by_model(kept)
        before = {**said, **kept.decision.watched}
        after = {**read_answer(answer, self.description.task.answer), **answer.get("watched", {})}
        acted = self._acted(kept.decision, after, answer.get("watched", {}))
        # The decisions of a file have no brightness of an image: only what both have measured is compared.
        after = {name: cell for name, cell in after.items() if name in before or name not in answer.get("watched", {})}
        return Replay(
            decision=kept.decision.id,
            version=self.version,
            model_digest=self.package.metadata["model_digest"],
            kept=before,
            again=after,
            differences=tuple(differences(before, after)),
            action=f"{kept.decision.action}: {kept.decision.reason}" if kept.decision.has_policy else "",
            action_again=f"{acted.action}: {acted.reason}" if acted else "",
        )

    def _acted(self, decision: Decision, output: Mapping[str, Any], watched: Mapping[str, float]) -> Acted | None:
        """The action of this answer by the policy that the version's run declared; None without a policy.

        `watched` is what the model measures of the row."""
        if not decision.has_policy:
            return None
        client, run = self.environment.client("s3"), self.package.metadata["run"]
        with TemporaryDirectory() as folder:
            for file in ("workload.yaml", "contract.yaml"):
                download(client, self.names.run_uri(run, "config", file), Path(folder) / file)
            workload = read_workload(Path(folder) / "workload.yaml")
            table = load_contract(Path(folder)).table("scoring")
        if workload.policy is None:
            return None
        known = acting_of(self.environment, self.names, workload.policy, workload.prediction, table)
        records = audit_of(self.environment, self.names)
        acting = acting_then(workload.policy, self.package, records, decision, secret=known.secret)
        acting = replace(acting, float_keys=known.float_keys, is_timeless=known.is_timeless)
        return act_again(acting, decision, workload.prediction, output, watched)


@contextmanager
def archived(environment: Environment, names: WorkloadNames, version: str) -> Iterator[ArchivedVersion]:
    """The version as it was signed, ready to answer while the block runs.

    Raises EnvironmentNotFoundError if it, or its archive, is gone, and ArtefactError if it is not as it was signed."""
    with TemporaryDirectory() as root:
        folder = Path(root) / "ml"
        try:
            package = registry_of(environment, names).describe(names.package_arn(version))
            verify_version(environment, names, version, folder=folder)
        except ClientError as error:
            expected = "it in the registry and its archive in S3"
            raise EnvironmentNotFoundError(f"version {version}: expected {expected}, got {error}") from None
        digest = package.metadata["model_digest"]
        description = read_folder(folder / "model", approved=digest).description
        with serving(folder, version=version, model_digest=digest) as ask:
            yield ArchivedVersion(
                environment=environment,
                names=names,
                version=version,
                package=package,
                description=description,
                ask=ask,
            )


def differences(kept: Mapping[str, Any], again: Mapping[str, Any]) -> Iterator[Difference]:
    """The cells that are not the same to the last bit. A field that one of the two lacks is None there."""
    for name in dict.fromkeys((*kept, *again)):
        one, other = kept.get(name), again.get(name)
        pairs: dict[str, tuple[Any, Any]] = {name: (one, other)}
        if isinstance(one, list) and isinstance(other, list):
            pairs = {f"{name}[{place}]": pair for place, pair in enumerate(zip_longest(one, other))}
        for cell, (before, after) in pairs.items():
            if canonical(before) != canonical(after):
                yield Difference(cell=cell, kept=before, again=after, bit=_highest_bit(before, after))


def _highest_bit(*pair: Any) -> int | None:
    if not all(isinstance(one, int | float) for one in pair):
        return None
    before, after = (struct.unpack(">Q", struct.pack(">d", one))[0] for one in pair)
    return int(before ^ after).bit_length() - 1


CONFIGURATION = ("workload.yaml", "contract.yaml", "schema.json", "labels.json")
"""The files of the run's configuration that the rows are read by."""


def read_pinned(s3: Any, names: WorkloadNames, run: str, features: Features) -> pa.Table:
    """All rows that the train execution `run` has pinned, also those without a label of their own.

    `features` are those of the model that is to be fed with the rows. Raises SnapshotError as `read_rows` does."""
    with tempfile.TemporaryDirectory() as root:
        config, data = Path(root) / "config", Path(root) / "data"
        config.mkdir()
        data.mkdir()
        for file in CONFIGURATION:
            download(s3, names.run_uri(run, "config", file), config / file)
        for uri in manifest_uris(read_object(s3, names.run_uri(run, "manifest.json"))):
            download(s3, uri, data / uri.rpartition("/")[2])
        workload, contract = read_workload(config / "workload.yaml"), load_contract(config)
        return read_rows(data, config / "schema.json", workload=workload, contract=contract, features=features)
