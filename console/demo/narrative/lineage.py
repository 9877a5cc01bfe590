"""From one decision back to the files: each link is read back and compared with the one before it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from console.demo.answers import answer, committed_of, source_of
from console.demo.narrative.findings import Findings, Model
from console.pages.story import Link
from console.queries.executions import Execution
from millrace.messages.audit import AuditEvent
from millrace.messages.release import ReleaseStarted
from millrace.messages.train import DatasetPinned, GatesJudged
from millrace.release.registry import Package


def lineage(executions: Sequence[Execution], findings: Findings) -> tuple[Link, ...]:
    """The chain of the kept decision, from a drop on; empty when a link is not known."""
    decision = findings.kept.decision if findings.kept else None
    package = findings.packages.get(str(decision.model_version)) if decision else None
    train = next((each for each in executions if package and each.name == package.metadata.get("run")), None)
    model = findings.models.get(train.name) if train else None
    pinned = answer(train, "snapshot", DatasetPinned) if train else None
    if not (decision and package and train and model and pinned):
        return ()
    return (
        *_drop(train, executions),
        _dataset(pinned, model),
        _training(train, pinned, package),
        _model(model, package),
        _version(train, package),
        *_release(package, executions, findings),
        *_decision(findings),
    )


def _compared(left: str | None, right: str | None, said: str) -> str:
    return f"{said}: {'the same' if left == right else f'NOT the same, {right}'}"


def _drop(train: Execution, executions: Sequence[Execution]) -> Iterator[Link]:
    """The last file that was in the tables before the training began."""
    came = [each for each in executions if each.machine == "ingest" and each.stopped <= train.started]
    committed = [(each, made) for each in came if (made := committed_of(each))]
    if committed:
        last, made = max(committed, key=lambda pair: pair[0].stopped)
        others = f"; {len(committed) - 1} files before it" if len(committed) > 1 else ""
        yield Link(
            what="file",
            identity=source_of(last),
            detail=f"{made.rows_accepted:,} rows, SHA-256 {_short(made.source_digest)}{others}",
        )


def _dataset(pinned: DatasetPinned, model: Model) -> Link:
    same = _compared(pinned.data_digest, model.data_digest, f"data digest {_short(pinned.data_digest)} in the model")
    return Link(
        what="dataset version", identity=f"snapshot {pinned.snapshot_id}", detail=f"{pinned.rows:,} rows; {same}"
    )


def _training(train: Execution, pinned: DatasetPinned, package: Package) -> Link:
    code = package.metadata.get("code_digest")
    same = _compared(pinned.code_digest, code, f"code digest {_short(pinned.code_digest)} in the package")
    return Link(what="training run", identity=train.name, detail=same)


def _model(model: Model, package: Package) -> Link:
    same = _compared(model.digest, package.metadata.get("artefact_digest"), "read back and digested; in the package")
    return Link(what="model", identity=f"SHA-256 {model.digest}", detail=same)


def _version(train: Execution, package: Package) -> Link:
    gated = answer(train, "gating", GatesJudged)
    passed = f" after {len(gated.verdicts)} gates" if gated else ""
    return Link(
        what="model version",
        identity=package.arn.partition(":model-package/")[2],
        detail=f"{package.approval.lower()}{passed}",
    )


def _release(package: Package, executions: Sequence[Execution], findings: Findings) -> Iterator[Link]:
    """The audit table's record of the release."""
    for each in executions:
        opened = answer(each, "start_release", ReleaseStarted) if each.machine == "release" else None
        if opened and opened.version == package.version and opened.outcome == "open":
            records = [
                one for one in findings.records if one.execution == each.arn and one.event == AuditEvent.RELEASE_LIVE
            ]
            yield from (
                Link(
                    what="release on record",
                    identity=one.key,
                    detail=f"{one.as_of:%-d %B %Y}: version {package.version} live",
                )
                for one in records[:1]
            )
            return


def _decision(findings: Findings) -> Iterator[Link]:
    if findings.kept:
        decision = findings.kept.decision
        answered = (
            f"answered {decision.value} with confidence {decision.output['confidence']:.2f}"
            if decision.output.get("confidence") is not None
            else "no answer of a model"
        )
        yield Link(
            what="decision",
            identity=decision.id,
            detail=f"about {decision.event_time:%-d %B %Y %H:%M}, version {decision.model_version}: {answered}; "
            f"input SHA-256 {_short(decision.input_digest)} checked",
        )


def _short(digest: str) -> str:
    return f"{digest[:12]}…"
