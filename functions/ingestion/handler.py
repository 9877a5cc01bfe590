"""Turns the bytes of drops into typed rows. Rows that cannot be parsed are kept raw, with their line and the reason."""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import boto3

from millrace.contract.load import load_contract
from millrace.contract.violation import whole_drop
from millrace.datasets.quarantine import QuarantineFile, object_key
from millrace.errors import DropError
from millrace.files.parsed import Limits
from millrace.functions.ingestion.drop import feed_of, fetch, fetch_listed, find, origin_of, parse, tell_drifted
from millrace.functions.ingestion.large import judged
from millrace.functions.room import Room
from millrace.messages.envelope import StepInput
from millrace.messages.ingest import LISTED, DropInWork, Ingested, IngestState, ParsedDrop, RejectedDrop, Staging, cut
from millrace.settings.drop import DropEnvironment

ROOM = Room(DropEnvironment.parse(), __name__)
CONTRACT = load_contract(ROOM.settings.folder)
LIMITS = Limits(file_bytes=ROOM.settings.drop_mb * 2**20)
LAKE = ROOM.names.platform.bucket("lake")
S3 = boto3.client("s3")


@ROOM.handles(StepInput[IngestState])
def handler(call: StepInput[IngestState]) -> Ingested:
    """For each drop, how many rows were typed and how many are kept raw, or why it cannot be read as rows at all.

    Drops to score are held while no model is live."""
    if call.state.detail.feed == "scoring" and ROOM.pointers.champion() is None:
        return Ingested(outcome="held")
    done: list[ParsedDrop | RejectedDrop] = []
    for drop in call.state.drops(call.run):
        with TemporaryDirectory() as folder:
            one = ingest(drop, Path(folder), call)
        if isinstance(one, str):  # a drop that is large has an execution of its own
            return Ingested(outcome="bulk", plan=one)
        done.append(one)
        ROOM.logger.info("ingested", extra=done[-1].logged())
    parsed = tuple(one for one in done if isinstance(one, ParsedDrop))
    rejected = tuple(one for one in done if isinstance(one, RejectedDrop))
    return Ingested(outcome="parsed" if parsed else "rejected", parsed=parsed, rejected=rejected)


def ingest(drop: DropInWork, folder: Path, call: StepInput[IngestState]) -> ParsedDrop | RejectedDrop | str:
    """Stage the drop's typed rows and raw rows in the lake, or quarantine the drop whole. Returns what became of it.

    Of a large drop it is the URI of a plan until a job has judged it."""
    raw, digest = folder / "raw", ""
    # `source` and `digest` grow more exact step by step, so that a refusal names what is known until then.
    source = feed_of(drop, ROOM.names)
    quarantine = partial(QuarantineFile, raw, drop_id=drop.drop_id, as_of=drop.as_of)
    told, columns = partial(tell_drifted, ROOM, call, CONTRACT.table(drop.feed).owner), ""
    try:
        source = find(S3, drop, source)
        large = None
        if ROOM.settings.bulk_mb and drop.feed == "training":
            source, large = judged(S3, ROOM, drop, source, call.execution_arn)
        if isinstance(large, str):
            return large
        if large:
            digest, rows, reasons = large.digest, large.rows, large.reasons
            if why := large.refusal:
                raise DropError(why.reason, expected=why.expected, got=why.got)
        else:
            source, digest = fetch(S3, source, folder / "drop", most_bytes=LIMITS.file_bytes)
            files = {folder / "drop": digest}
            if source.key.endswith(f"{LISTED}.json"):
                files = fetch_listed(S3, source, folder / "drop", most_bytes=LIMITS.file_bytes)
                # In any order: a query that is run again names its files anew.
                digest = hashlib.sha256("".join(sorted(files.values())).encode()).hexdigest()
            origins = {path: origin_of(S3, source, each, drop, ROOM.names) for path, each in files.items()}
            contract = CONTRACT.mending() if source.repairs else CONTRACT
            with quarantine(source=source.uri) as refused:
                rows, columns = parse(origins, contract.table(drop.feed), folder / "parsed", refused, limits=LIMITS)
            # Raw rows are staged too: validation quarantines them, unless the table has the drop's bytes already.
            staging, reasons = Staging(names=ROOM.names, of=drop.drop_id), refused.reasons
            S3.upload_file(str(folder / "parsed"), LAKE, staging.rows("parsed"))
            if refused.rows:
                S3.upload_file(str(raw), LAKE, staging.rows("unparsable"))
    except DropError as error:
        # The file is written anew with one record, of the whole drop: raw rows of the parts before do not count.
        with quarantine(source=source.uri) as refused:
            refused.add([whole_drop(error)])
        key = object_key(ROOM.names.workload, drop.feed, as_of=drop.as_of, drop_id=drop.drop_id, part="drop")
        S3.upload_file(str(raw), LAKE, key)
        rejected = RejectedDrop(
            drop_id=drop.drop_id,
            feed=drop.feed,
            owner=CONTRACT.table(drop.feed).owner,
            source=source.uri,
            source_digest=digest,
            reason=error.reason,
            expected=cut(error.expected),
            got=cut(error.got),
        )
        return told(rejected, error.columns)
    parsed = ParsedDrop(
        drop_id=drop.drop_id,
        as_of=drop.as_of,
        source=source.uri,
        source_key=source.key,
        source_digest=digest,
        sequencer=drop.object.sequencer if drop.object else "",
        by=cut(", ".join(filter(None, [source.by, drop.object.requester if drop.object else ""]))),
        repairs=cut(source.repairs),
        rows=rows,
        unparsable=sum(reasons.values()),
        reasons=reasons,
        bulk=large is not None,
    )
    return told(parsed, columns)
