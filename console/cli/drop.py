"""`millrace drop`: put files into the landing bucket, and write the answers to a scored one."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from millrace.console.cli.options import Json, Long, Scale, Target, Within, feeds
from millrace.console.cli.printing import show_json
from millrace.console.files.catalogue import TABLES
from millrace.console.files.given import ALSO, given
from millrace.console.image_folder import find_images
from millrace.contract.load import load_contract
from millrace.tasks.catalogue import declare
from millrace.workload.load import load_workload, workloads_folder

if TYPE_CHECKING:
    from millrace.console.actions.drop import Dropped
    from millrace.console.environment import Environment
    from millrace.console.files.given import Given
    from millrace.console.files.grid import Inside
    from millrace.contract.schema import Contract, Feed
    from millrace.names import WorkloadNames


def drop(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE…", help=f"{TABLES}; {ALSO}; an image. Or a folder of them; - is standard input (with --name)."
        ),
    ],
    target: Target,
    json: Json,
    inside: Within,
    feed: Annotated[
        str,
        typer.Option(
            autocompletion=feeds, help="training (labelled rows), scoring (rows to score) or labels (late truth)."
        ),
    ],
    name: Annotated[str, typer.Option(help="The object's name below the feed.", show_default="the file's name")] = "",
    scale: Scale = False,
    wait: Annotated[
        bool,
        typer.Option("--wait", help="Come back when all that it causes has ended; 1 if one failed or was refused."),
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            show_default="nothing is written",
            help="With --wait, of --feed scoring: the file's rows with their answers, as .csv or .jsonl.",
        ),
    ] = None,
    long: Long = False,
) -> None:
    """Upload files to the landing bucket, each of which starts the machine of its feed.

    Example: millrace drop week.csv --feed scoring --wait --output answers.csv

    Example: millrace drop may.xlsx --sheet Sold --feed training; a workbook's rows go as JSON lines.

    Example: millrace drop photos --feed training, of photos/yes/1.png, photos/no/2.png …: the images go as one Parquet
    file. For the feed scoring they need no classes."""
    from millrace.console.actions import drop
    from millrace.console.cli.follow import follow_drop, require_success
    from millrace.console.cli.record_files import check_ending
    from millrace.console.queries.waiting import check_model, check_taken, lacks_model, tried_again

    known = drop.check(files, feed)
    if output is not None and not (wait and known == "scoring"):
        raise typer.BadParameter("expected --wait and --feed scoring beside it", param_hint="--output")
    if output is None and long:
        raise typer.BadParameter("expected --output beside it", param_hint="--long")
    if output is not None:
        check_ending(output, ".csv", ".jsonl")
    environment, names = target.find_deployed()
    check_taken(environment, names)
    if wait and known == "scoring":
        check_model(environment, names)
    contract = load_contract(workloads_folder() / names.workload)
    with given(files, inside) as opened:
        if len(opened) > 1 and (name or output):
            option = "--name" if name else "--output"
            raise typer.BadParameter(f"expected one file beside it, got {len(opened)}", param_hint=option)
        sent = [
            _upload(environment, names, contract, known, one, inside, name=name, scale=scale, keeps=bool(output))
            for one in opened
        ]
    dropped = [each for each, _ in sent]
    # A drop of the feed scoring waits in its queue until a model is live.
    waits = known == "scoring" and lacks_model(environment, names)
    when = f" once a model is live, and none is yet; until then it waits, {tried_again(names)}" if waits else ""
    for each in dropped * (not json):
        typer.echo(f"{each.uri} ({each.size:,} bytes) starts {each.machine}{when}")
    found = [follow_drop(environment, names, each.drop_id, said=not json) if wait else [] for each in dropped]
    if json:
        told = [
            {"uri": each.uri, "machine": each.machine, "drop_id": each.drop_id, "waits_for_model": waits}
            | {"ended": [one.as_json() for one in ended]}
            for each, ended in zip(dropped, found, strict=True)
        ]
        show_json(told if len(told) > 1 else told[0])
    if output is not None:
        uri = next((each.outcome.uri for each in found[0] if each.outcome.uri), "")
        [(each, content)] = sent
        _write_answers(environment, names, contract, content, uri=uri, drop_id=each.drop_id, output=output, long=long)
    require_success(names, [one for ended in found for one in ended])


def _upload(
    environment: Environment,
    names: WorkloadNames,
    contract: Contract,
    feed: Feed,
    file: Given,
    inside: Inside,
    *,
    name: str,
    scale: bool,
    keeps: bool,
) -> tuple[Dropped, bytes]:
    """Upload the file, or a temporary one of images or of rows; what was dropped, and its rows if it `keeps` them."""
    from millrace.console.actions import drop

    if file.path.is_dir() and (left_out := find_images(file.path).left_out):
        typer.echo(f"warning: {left_out}", err=True)
    s3, by = environment.client("s3"), environment.identity() if feed == "labels" else ""
    with drop.content_of(file, contract, feed, inside, scale=scale) as content:
        key = drop.landing_key(names, feed, name or content.name)
        for note in content.notes:
            typer.echo(note, err=True)
        if labels := drop.labels_in(content.plain, contract, feed):
            typer.echo(f"warning: {drop.unwanted(labels)}", err=True)
        if before := drop.present(s3, names, key):
            was = f"{before.size:,} bytes of {before.modified}"
            kept = ", whose good rows take the place of the earlier ones; --name keeps both" * (feed != "scoring")
            typer.echo(f"warning: {key} is there already ({was}): this is a new version of it{kept}", err=True)
        done = drop.put(s3, names, content.path, feed=feed, key=key, by=by)
        return done, content.plain.read_bytes() if keeps else b""


def _write_answers(
    environment: Environment,
    names: WorkloadNames,
    contract: Contract,
    sent: bytes,
    *,
    uri: str,
    drop_id: str,
    output: Path,
    long: bool,
) -> None:
    """Write the rows of the dropped file with their answers, the predictions at `uri` and the quarantine beside them.

    A file that was refused whole has no rows, and leaves none."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from millrace.aws.objects import read_object
    from millrace.console.cli.record_files import export
    from millrace.console.queries.drops import find_rows, scored_rows
    from millrace.console.queries.stored import as_file

    delivered = pq.read_table(io.BytesIO(read_object(environment.client("s3"), uri))) if uri else None
    refused = list(find_rows(environment, names, runs={drop_id}))
    prediction = load_workload(workloads_folder() / names.workload).prediction
    fields = (*declare(prediction, contract.label).answer, *prediction.dates) if long else ()
    with as_file(sent, "sent") as path:
        rows = scored_rows(path, contract, delivered, refused, long=fields)
    if not rows:
        return
    schema = pa.schema([(name, pa.string()) for name in rows[0]])
    count = export(rows, output, schema)
    typer.echo(f"{output}: {count:,} rows, {len(refused):,} of them without an answer", err=True)
