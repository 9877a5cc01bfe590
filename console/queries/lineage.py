"""From one decision back to the dropped files: each link with its id and digest.

A digest is computed again where that is cheap."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import Any

from botocore.exceptions import ClientError

from millrace.artefact.artefact import digest as sha256
from millrace.aws.objects import keys_below, read_object, split_uri
from millrace.console.environment import Environment
from millrace.console.queries.decisions import captured_uris, find_decision, require_decision, words_of
from millrace.console.queries.labels import (
    KnownLabel,
    LearntDrop,
    find_journal,
    find_labels,
    find_learners,
    learnt_drops,
)
from millrace.console.queries.link import (
    MISSING,
    Link,
    State,
    broken,
    checked,
    compared,
    endpoint_link,
    recorded,
    review_link,
    score_link,
)
from millrace.console.queries.live import FAILURES
from millrace.console.queries.own_answers import value_in_words
from millrace.console.queries.reviews import find_items
from millrace.console.queries.stored import (
    Unread,
    as_file,
    find_object,
    head_object,
    manifest_uris,
    object_of,
    part,
    read_metadata,
    unpack,
)
from millrace.console.queries.versions import audit_of, find_judgement, registry_of
from millrace.consumers.catalogue import of_stage
from millrace.consumers.next_workload import NextWorkload, before_chain, chained_id
from millrace.contract.load import digest, read_document
from millrace.contract.schema import Column
from millrace.datasets.journal import Journal, JournalEntry
from millrace.datasets.versions import ERASED, Pin, data_digest
from millrace.decisions.record import Decision
from millrace.decisions.scored import ScoredDay
from millrace.decisions.store import LocatedDecision
from millrace.errors import ArtefactError, WorkloadError
from millrace.evaluation.gates.catalogue import judge_all
from millrace.evaluation.report import EVALUATION_FILE, Evaluation
from millrace.messages.training_run import Run
from millrace.names import WorkloadNames
from millrace.release.registry import ORIGIN, Package
from millrace.release.signatures import ORIGIN_FILE
from millrace.tasks.answer import in_words
from millrace.workload.declaration import Workload
from millrace.workload.load import load_workload, read_workload, workloads_folder

CHEAP_BYTES = 64 * 2**20
"""A dropped file or artefact is read and digested again up to this size. A larger one is only `recorded`."""

CHAIN = ("run", "tag", "snapshot_id", "rows", "gate")
"""Keys of a package's metadata that the chain follows, besides the digests."""


def trace(environment: Environment, names: WorkloadNames, decision: str) -> Iterator[Link]:
    """The links from the decision with this id to the dropped files. A missing link is `broken` and ends its branch.

    Raises EnvironmentNotFoundError if no decision has this id."""
    yield from trace_decision(environment, names, require_decision(environment, names, decision))


def trace_decision(environment: Environment, names: WorkloadNames, kept: LocatedDecision) -> Iterator[Link]:
    """The same links for a decision that was read already."""
    yield _decision(names, kept)
    if kept.decision.source == "workload":
        first, asker = before_chain(kept.decision.id)
        yield recorded("decision before", first, "", f"of {asker}: millrace why {first} --workload {asker}")
    actions: set[str] = {kept.decision.action}
    if kept.decision.action == "review":
        items = find_items(environment, names, [kept.decision.id])
        yield review_link(kept.decision.id, items, words_of(names)[1])
        # An item that is no longer in the queue may have been answered.
        actions |= {"answered"} if all(item.answer for item in items.values()) else set()
    yield from _readable("decision after", lambda: _became(environment, names, kept.decision.id, actions))
    if kept.scored:
        yield _scored(environment.client("s3"), kept.scored)
        yield score_link(environment, names, kept.decision, kept.scored)
    for column, uri in captured_uris(names, kept).items():
        yield _captured(environment.client("s3"), column, uri)
    yield from _readable("label", lambda: _labels(environment, names, kept.decision))
    version = kept.decision.model_version
    if version is None:
        yield broken("model version", "none", "no model answered: the fallback of the workload did")
        return
    try:
        package = registry_of(environment, names).describe(names.package_arn(version))
    except (ClientError, ArtefactError) as error:
        yield broken("model version", names.package_arn(version), str(error))
        return
    # A version that was registered by hand has no metadata to follow.
    if missing := [name for name in CHAIN if name not in package.metadata]:
        yield broken("model version", package.arn, f"its metadata has no {', '.join(missing)}")
        return
    yield checked("model version", package.arn, package.approval)
    if kept.scored is None:
        yield endpoint_link(environment, names, kept.decision, package)
    yield from Chain(environment=environment, names=names, package=package).links()


@dataclass(frozen=True, kw_only=True)
class Chain:
    """The links from a registered version to everything that it was made of."""

    environment: Environment
    names: WorkloadNames
    package: Package

    @property
    def s3(self) -> Any:
        return self.environment.client("s3")

    @property
    def run(self) -> str:
        """The name of the train execution that made the version."""
        return self.package.metadata["run"]

    def known(self, link: str) -> str:
        """The digest that the registry keeps for `link`; empty if it keeps none."""
        return self.package.metadata.get(f"{link}_digest", "")

    def links(self) -> Iterator[Link]:
        """The links from the artefact to the drops and the gates."""
        yield self._artefact()
        yield self._run()
        yield from self._dataset()
        yield self._declared("contract", "contract.yaml", self.known("contract"))
        yield self._declared("config", "workload.yaml", self.known("declaration" if self.origin else "config"))
        yield from self._pulled() if self.origin else chain(self._initial(), self._pretrained(), [self._code()])
        yield from self._gates()

    @property
    def origin(self) -> str:
        """The ARN of the version of another stage of which this one is a copy; empty for one that was made here."""
        return self.package.metadata.get(ORIGIN, "")

    def _pulled(self) -> Iterator[Link]:
        """The other stage's signature. Rows, configuration and code of the training are that stage's to look at."""
        uri = self.names.run_uri(self.run, ORIGIN_FILE)
        yield _file(self.s3, "origin", uri, self.known("origin"), f"signed there as {self.origin}")
        for link in ("data", "config", "code"):
            yield recorded(f"{link} there", self.origin, self.known(link), "in the other stage; its key signed it")

    def _artefact(self) -> Link:
        """The version's archive, digested again, with the digests that it holds of its own inputs."""
        uri = self.package.model_data_url
        if (head := head_object(self.s3, uri)) is None:
            return broken("model", uri, MISSING)
        if (size := head["ContentLength"]) > CHEAP_BYTES:
            return recorded("model", uri, self.known("artefact"), f"{size:,} bytes, not read")
        content = read_object(self.s3, uri)
        try:
            artefact = unpack(content)
        except ArtefactError as error:
            return broken("model", uri, str(error))
        noted = vars(artefact.description.digests)
        apart = [name for name, value in noted.items() if value != self.known(name)]
        if apart:
            return broken("model", uri, f"its {', '.join(apart)} digest is not the registry's")
        return compared("model", uri, sha256(content), self.known("artefact"), "weights and graph match too")

    def _run(self) -> Link:
        """What the run has pinned, compared with the registry."""
        uri = self.names.run_uri(self.run, "config", "run.json")
        if (content := find_object(self.s3, uri)) is None:
            return broken("training run", self.run, f"there is no {uri}")
        run = Run.model_validate_json(content)
        apart = [link for link, pinned in run.digests.items() if pinned != self.known(link)]
        if apart:
            return broken("training run", self.run, f"its {', '.join(apart)} digest is not the registry's")
        detail = f"started by {run.reason} as of {run.as_of:%Y-%m-%d %H:%M}; its digests are the registry's"
        return checked("training run", self.run, detail)

    def _dataset(self) -> Iterator[Link]:
        """The dataset version, its data files, and the drop of each of its journal entries."""
        tag, wanted = self.package.metadata["tag"], self.package.metadata["snapshot_id"]
        metadata = read_metadata(self.environment, self.names, "rows")
        pin = Pin.of(metadata, tag) if metadata is not None else None
        if metadata is None or pin is None or str(pin.rows) != wanted:
            points = pin.rows if pin else "nothing"
            if metadata and f"{ERASED}{tag}" in metadata.properties:
                points = "nothing: rows of it were erased, so it cannot be made again"
            yield broken("dataset version", f"{tag} @ {wanted}", f"the tag points to {points}")
            return
        rows = f"{int(self.package.metadata['rows']):,} rows"
        journal = Journal.of_metadata(metadata, partial(read_object, self.s3))
        made = data_digest(journal, find_journal(self.environment, self.names, "labels"), pin)
        known = self.known("rows" if self.origin else "data")
        yield compared("dataset version", f"{tag} @ {wanted}", made, known, rows)
        yield self._files()
        for entry in journal.up_to(pin.rows):
            yield from _drop(self.s3, entry)
        for learnt in learnt_drops(self.environment, self.names, pin):
            yield _file(self.s3, "labels", learnt.entry.uri, str(learnt.entry.digest), learnt.words)

    def _files(self) -> Link:
        """The data files of the run's manifest: whether all of them are still there."""
        uri = self.names.run_uri(self.run, "manifest.json")
        if (content := find_object(self.s3, uri)) is None:
            return broken("data files", uri, MISSING)
        keys = [split_uri(one)[1] for one in manifest_uris(content)]
        folders = [self.names.lake_uri("iceberg", self.names.table(name), "data", "") for name in ("rows", "labels")]
        if gone := sorted(set(keys) - {key for folder in folders for key in keys_below(self.s3, *split_uri(folder))}):
            return broken("data files", uri, f"{len(gone)} of {len(keys)} are gone, first {gone[0]}")
        return checked("data files", uri, f"{len(keys)} files, all there")

    def _declared(self, link: str, file: str, known: str) -> Link:
        """The contract or the declaration as the run had it, digested again."""
        uri = self.names.run_uri(self.run, "config", file)
        if (content := find_object(self.s3, uri)) is None:
            return broken(link, uri, MISSING)
        try:
            with as_file(content, file) as path:
                made = digest(read_document(path))
        except WorkloadError as error:
            return broken(link, uri, str(error))
        return compared(link, uri, made, known, "as the run had it")

    def _initial(self) -> Iterator[Link]:
        """The model whose weights the training started from, if the run's declaration names one."""
        declared = self._workload()
        if declared is None or declared.training.weights is None:
            return
        weights, what = declared.training.weights, "initial weights"
        wanted = weights.digest.removeprefix("sha256:")
        trunk = "its trunk frozen" if weights.freeze == "trunk" else "all of it tuned"
        made = (lambda content: unpack(content).digest) if weights.is_archive else sha256
        try:
            yield _file(self.s3, what, weights.source, wanted, trunk, made)
        except ClientError as error:  # of a bucket outside the platform, which the job may read and a person may not
            yield recorded(what, weights.source, wanted, str(error))
        except ArtefactError as error:
            yield broken(what, weights.source, str(error))

    def _pretrained(self) -> Iterator[Link]:
        """The frozen encoder that the model contains; the training job has compared its digest."""
        declared = self._workload()
        if declared and (encoder := declared.training.pretrained):
            detail = f"licence {encoder.licence}; the training job compared the digest"
            yield recorded("pre-trained part", encoder.source, encoder.digest.removeprefix("sha256:"), detail)

    def _workload(self) -> Workload | None:
        """The declaration as the run had it; None if it is gone, or if it was altered so that it is no declaration."""
        content = find_object(self.s3, self.names.run_uri(self.run, "config", "workload.yaml"))
        if content is None:
            return None
        try:
            with as_file(content, "workload.yaml") as path:
                return read_workload(path)
        except WorkloadError:
            return None

    def _code(self) -> Link:
        """The digest of the sources, which are in the image and not in S3.

        The digests of run, artefact and package were compared in the links before."""
        detail = "the same in run, model and registry; the sources are in the training image"
        return recorded("code", self.run, self.known("code"), detail)

    def _gates(self) -> Iterator[Link]:
        """The evaluation report, and each gate's recorded verdict beside the verdict that the report gives now."""
        uri = self.names.run_uri(self.run, "evaluation", EVALUATION_FILE)
        if (report := find_object(self.s3, uri)) is None:
            yield broken("evaluation", uri, MISSING)
            return
        yield compared("evaluation", uri, sha256(report), self.known("evaluation"), "on days that it never saw")
        recorded = find_judgement(audit_of(self.environment, self.names), self.run)
        if not recorded:
            yield broken("gates", self.run, "the audit table has no judgement of this run")
            return
        judged = self._judge(report, recorded.candidates)
        for verdict in recorded.verdicts:
            same = judged.get(verdict.name) == verdict.passed
            word = "refused" if not verdict.passed else "passed with a warning" if verdict.is_warning else "passed"
            identity, detail = f"{verdict.name}: {word}", verdict.sentence
            state: State = "checked" if same else "broken"
            detail = detail if same else f"judged again: {judged.get(verdict.name)}; recorded: {detail}"
            yield Link(what="gate", identity=identity, digest=None, state=state, detail=detail)

    def _judge(self, report: bytes, candidates: int) -> dict[str, bool]:
        """By gate, whether it passes the report under the run's own declaration; empty if there is no declaration."""
        declared = self._workload()
        if declared is None:
            return {}
        against: Any = self.package.metadata["gate"]
        found = Evaluation.model_validate_json(report)
        verdicts = judge_all(found, declared.gates, against=against, candidates=candidates)
        return {verdict.name: verdict.passed for verdict in verdicts}


def _decision(names: WorkloadNames, kept: LocatedDecision) -> Link:
    """The link of the decision itself. Reading its line has compared the input with its digest."""
    decision, (words, _) = kept.decision, words_of(names)
    detail = f"about {decision.event_time:%Y-%m-%d %H:%M}: answered {in_words(decision.output, words)}; {kept.uri}"
    return Link(what="decision", identity=decision.id, digest=decision.input_digest, state="checked", detail=detail)


def _readable(what: str, links: Callable[[], Iterable[Link]]) -> Sequence[Link]:
    """The links; if they cannot be read, the one that says why."""
    found = part(lambda: [*links()], FAILURES)
    return [recorded(what, "", "", found.words)] if isinstance(found, Unread) else found


def _became(environment: Environment, names: WorkloadNames, first: str, actions: set[str]) -> Iterator[Link]:
    """What each next workload that wants one of these actions has decided on the decision `first`."""
    then = chained_id(first, names.workload)
    for one in of_stage(load_workload(workloads_folder() / names.workload).consumers, names.platform.stage).values():
        if isinstance(one, NextWorkload) and actions & {*one.actions}:
            after = find_decision(environment, of := replace(names, workload=one.workload), then)
            link = _decision(of, after) if after else recorded("", then, "", "none yet")
            yield replace(link, what=f"decision of {one.workload}")


def _labels(environment: Environment, names: WorkloadNames, decision: Decision) -> Iterable[Link]:
    labels = find_labels(environment, names, [decision]).get(decision.id, ())
    return map(partial(_label, words_of(names)[1]), labels, find_learners(environment, names, labels))


def _label(column: Column, label: KnownLabel, learnt: LearntDrop | None) -> Link:
    """The link of a label. No digest covers it: it is as its table holds it."""
    what = "label" if label.counts else "label, replaced"
    came = f"arrived {label.arrived:%Y-%m-%d %H:%M}" if label.arrived else "arrived before arrivals were kept"
    ahead = f", {label.hours:g} hours ahead" if label.hours else ""
    detail = f"{came}{ahead}, in {label.drop}"
    if learnt:
        detail = f"{detail} ({learnt.words}); {learnt.learners}"
    return Link(what=what, identity=value_in_words(label.value, column), digest=None, state="recorded", detail=detail)


def _captured(client: Any, column: str, uri: str) -> Link:
    """An image of the input, digested again: its URI ends with its digest."""
    if (content := find_object(client, uri)) is None:
        return broken("input", uri, MISSING)
    return compared("input", uri, sha256(content), uri.rpartition("/")[2], f"{column}, {len(content):,} bytes")


def _scored(client: Any, known: ScoredDay) -> Link:
    """The dropped file that the row was in, digested again. It expires before its decisions do."""
    if head_object(client, known.source) is None:
        return recorded("scored file", known.source, known.source_digest, "the file is no longer kept")
    return _file(client, "scored file", known.source, known.source_digest, "its answers are the record")


def _drop(client: Any, entry: JournalEntry) -> Iterator[Link]:
    """The file of a journal entry, digested again.

    Rows that were made of late labels have no file. Nothing is yielded for an entry without an origin."""
    # A repetition of known bytes and a superseded version have added no rows.
    if not entry.is_first or not entry.uri:
        return
    uri, wanted, rows = entry.uri, str(entry.digest), f"{entry.rows_added:,} rows"
    if not uri.startswith("s3://"):
        yield recorded("rows from labels", uri, wanted, rows)
        return
    yield _file(client, "drop", uri, wanted, rows)


def _file(client: Any, what: str, uri: str, wanted: str, detail: str, made: Callable[[bytes], str] = sha256) -> Link:
    """A file, digested again by `made` if that is cheap."""
    if (head := head_object(client, uri)) is None:
        return broken(what, uri, MISSING)
    if (size := head["ContentLength"]) > CHEAP_BYTES:
        return recorded(what, uri, wanted, f"{detail}, {size:,} bytes, not read")
    return compared(what, uri, made(client.get_object(**object_of(uri))["Body"].read()), wanted, detail)
