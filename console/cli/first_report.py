"""`millrace try`: what simple models make of a file, without a cloud and without a workload."""

from __future__ import annotations

import re
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer

from millrace.console.cli.new import ROWS, ReadOptions, phase
from millrace.console.cli.options import Json, Within
from millrace.console.cli.printing import show_json, show_rows
from millrace.workload.load import workloads_folder

if TYPE_CHECKING:
    from millrace.console.new.first_report import Section

Files = Annotated[list[Path], typer.Argument(metavar="FILE", help=ROWS)]
Html = Annotated[Path | None, typer.Option(dir_okay=False, help="Write the report as a page, too.")]
OWN = ("html", "as_json", "files")
"""The parameters that are none of `millrace new`, or are written otherwise there."""
PHASES = 6
"""Those of `new` but for the trial and for writing; then the models."""
NOT_IN_A_NAME = re.compile(r"[^a-z0-9]+")


def try_(
    context: typer.Context, files: Files, reading: ReadOptions, as_json: Json, inside: Within, html: Html = None
) -> None:
    """Report what simple models make of a file: how good they are, what could act by itself, what is doubtful.

    Example: millrace try rows.csv --label outcome --html report.html

    It reads the file as `new` does, fits the rule to beat, a linear model and boosted trees on the rows that train, and
    judges them on the rows that test. It needs no cloud, and writes nothing but the page."""
    from millrace.console.new.assessment import assess
    from millrace.console.new.declare import question
    from millrace.console.new.first_report import sections
    from millrace.console.new.proposal import propose

    name = workload_name(files[0])
    choices = reading.choices(name)
    phase(1, "reading the file", of=PHASES)
    with reading.source(files, inside, choices) as source:
        proposal = propose(source, choices, today=datetime.now(UTC).date(), say=_phase)
        phase(PHASES, "fitting simple models and judging them on the rows that test", of=PHASES)
        assessment = assess(proposal)
        said = list(sections(proposal, assessment))
    title, commands = question(proposal.prediction), next_commands(context, name, files)
    if html:
        from millrace.console.pages.template import template

        page = template("first_report.html.jinja")
        html.write_text(page.render(title=source.path.name, question=title, sections=said, commands=commands))
    if as_json:
        told = {"assessment": assessment.model_dump(mode="json"), "sections": [*map(asdict, said)], "next": commands}
        show_json({"question": title, "rows": proposal.rehearsal.rows, **told})
        return
    typer.echo(f"{title}\n")
    for one in said:
        _show(one)
    typer.echo("Next:\n\n" + "\n".join(f"  {command}" for command in commands))


def _phase(number: int, said: str) -> None:
    """Print a phase of the proposal, but for its trial: here none is asked for."""
    if number < PHASES:
        phase(number, said, of=PHASES)


def workload_name(path: Path) -> str:
    """A workload's name by that of the file: `my_rows` for `My rows.csv`."""
    name = NOT_IN_A_NAME.sub("_", path.name.partition(".")[0].lower()).lstrip("_0123456789")[:24].rstrip("_")
    return name if len(name) > 1 else "mine"


def next_commands(context: typer.Context, name: str, files: list[Path]) -> list[str]:
    """What is typed next: the file as a workload, with the options that were typed here, in a project of one's own."""
    began = (
        [] if workloads_folder().is_dir() else ["pip install 'millrace[all]'", f"millrace init {name}", f"cd {name}"]
    )
    given = [word for path in files for word in ("--from", quote(str(path.absolute() if began else path)))]
    typed = [word for one in context.command.params for word in _words(context, one)]
    return [*began, " ".join(["millrace new", name, *given, *typed])]


def _words(context: typer.Context, one: Any) -> list[str]:
    """The option of the command as it was typed; none if it was not, or if `millrace new` does not have it."""
    typed, source = context.params.get(one.name), context.get_parameter_source(one.name)
    if one.name in OWN or source is None or source.name != "COMMANDLINE":
        return []
    if isinstance(typed, bool):
        return [one.opts[0]]
    values = typed if isinstance(typed, list) else [typed]
    return [word for value in values for word in (one.opts[0], quote(str(value)))]


def _show(section: Section) -> None:
    typer.echo(section.title + (f": {section.lead}" if section.lead else "") + "\n")
    if section.rows:
        show_rows(section.rows, as_json=False, nothing="", has_words=False)
        typer.echo()
    for line in section.lines:
        typer.echo(line if line.startswith(" ") else f"- {line}")
    typer.echo("\n" if section.lines else "", nl=False)
