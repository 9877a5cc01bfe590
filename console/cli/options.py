"""The options that several commands share, groups of options as one value, and what a shell completes.

A shell completes without a call to AWS."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from functools import cache, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer
from typer.core import TyperCommand

from millrace.console.files.grid import Inside
from millrace.errors import EnvironmentNotFoundError
from millrace.names import EVERY_MACHINE, MACHINE_OF_FEED, STAGES, TUNE
from millrace.workload.load import workload_folders, workloads_folder

if TYPE_CHECKING:
    from millrace.console.environment import Environment
    from millrace.names import WorkloadNames


def workload_names() -> list[str]:
    """The names of the workloads' folders."""
    return [folder.name for folder in workload_folders(workloads_folder())]


def chosen_folders(names: Sequence[str] | None) -> list[Path]:
    """The folders of these workloads; of all without a name. Raises EnvironmentNotFoundError for another name."""
    found = {folder.name: folder for folder in workload_folders(workloads_folder())}
    for name in names or ():
        if name not in found:
            known = f"one of {[*found]} (the folders of {workloads_folder()}/)"
            raise EnvironmentNotFoundError(f"--workload: expected {known}, got {name!r}")
    return [found[name] for name in names or found]


def only_folder(name: str) -> Path:
    """The folder of this workload; of the only one without a name. Raises EnvironmentNotFoundError for none."""
    found = chosen_folders([name] if name else None)
    if len(found) != 1:
        raise EnvironmentNotFoundError(f"--workload: expected one of {[one.name for one in found]}, got none")
    return found[0]


def stages() -> list[str]:
    return [*STAGES]


def feeds() -> list[str]:
    return [*MACHINE_OF_FEED]


def machines() -> list[str]:
    return [*EVERY_MACHINE, TUNE]


def label_kinds() -> list[str]:
    """The kinds of labels of `millrace new --kind`."""
    from millrace.console.new.kinds import LABEL_KINDS

    return [*LABEL_KINDS]


def audit_events() -> list[str]:
    """The events of `millrace audit list --event`."""
    from millrace.messages.audit import AuditEvent

    return [*AuditEvent]


class Once(TyperCommand):
    """A command that refuses an option given twice and a word too many, but not while a shell completes."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if ctx.resilient_parsing:
            return super().parse_args(ctx, args)
        _, rest, given = self.make_parser(ctx).parse_args(args=[*args])
        valued = {name for each in given if not getattr(each, "is_flag", True) for name in each.opts}
        for option, value, extra in zip(args, args[1:], args[2:], strict=False):
            if extra in rest and option in valued and not value.startswith("-"):
                raise typer.BadParameter(f"{option}: expected one word, several values as {value},{extra}, got two")
        for each in given:
            if given.count(each) > 1 and not (each.multiple or getattr(each, "is_flag", False)):
                raise typer.BadParameter(f"{each.opts[0]}: expected it once, got it twice")
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command. An error of AWS's gets a note on who may, if the caller may not."""
        from botocore.exceptions import ClientError

        try:
            return super().invoke(ctx)
        except ClientError as error:
            from millrace.console.people import who_in_words
            from millrace.console.queries.stored import unread

            if unread(error).is_denied:
                error.add_note(who_in_words(ctx.command_path.partition(" ")[2]))
            raise


def flag(name: str, help_: str) -> Any:
    """A switch that is off unless it is typed. It may stand before a parameter without a default."""
    return typer.Option(name, default_factory=lambda: False, show_default=False, help=help_)


def text(help_: str, *names: str, value: Any = "", shown: str | bool = False, **more: Any) -> Any:
    """An option with a value. It may stand before a parameter without a default; help shows the default as `shown`."""
    return typer.Option(*names, default_factory=lambda: value, show_default=shown, help=help_, **more)


Build = Annotated[
    Path, text("Everything that this machine writes lies below this folder.", value=Path("build"), shown="build")
]
Stage = Annotated[
    str,
    text(
        "local (the cloud that `millrace up` keeps running), else dev, prod or one of your own (in the account of your "
        "credentials).",
        value="local",
        shown="local",
        envvar="MILLRACE_STAGE",
        autocompletion=stages,
    ),
]
OF_WORKLOAD: dict[str, Any] = {"envvar": "MILLRACE_WORKLOAD", "autocompletion": workload_names}
Workload = Annotated[str, text("A folder of workloads/.", shown="the only one that is deployed", **OF_WORKLOAD)]


@dataclass(frozen=True, kw_only=True)
class Target:
    """What a command works on."""

    workload: Workload
    stage: Stage
    build: Build

    def find(self) -> tuple[Environment, WorkloadNames]:
        """The environment and the workload's names. Raises EnvironmentNotFoundError if one of them does not exist.

        AWS's SDK is imported in here, so that `--help` does not wait for it."""
        from millrace.console.environment import find_environment

        environment = find_environment(self.stage, self.build, self.workload)
        return environment, environment.names(self.workload)

    def find_deployed(self) -> tuple[Environment, WorkloadNames]:
        """The environment and the workload's names, for a command that needs a deployed workload.

        The first client that is requested of the environment raises EnvironmentNotFoundError if the workload is not
        deployed, with the command that deploys it. So the command can refuse wrong options before any call to AWS.
        Raises EnvironmentNotFoundError at once if environment or workload do not exist."""
        from millrace.console.queries.executions import require_deployed

        environment, names = self.find()

        # Cached: the check is one call to AWS, made for the first client alone.
        @cache
        def check() -> None:
            require_deployed(environment.client("stepfunctions"), names)

        def client(service: str) -> Any:
            check()
            return environment.client(service)

        return replace(environment, client=client), names


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """The command as typer takes it: a parameter whose type is a dataclass becomes an option for each of its fields.

    A field without an option keeps its default."""
    signature = inspect.signature(command, eval_str=True)
    groups: dict[str, Any] = {
        name: each.annotation for name, each in signature.parameters.items() if is_dataclass(each.annotation)
    }
    options = {name: _options(group) for name, group in groups.items()}

    @wraps(command)
    def run(**given: Any) -> None:
        values = {name: group(**{each.name: given.pop(each.name) for each in options[name]})
                  for name, group in groups.items()}  # fmt: skip
        command(**given, **values)

    # By keyword alone: so an option with a default may stand before one without.
    flat = [one for name, each in signature.parameters.items() for one in options.get(name, [each])]
    by_keyword = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in flat]
    run.__signature__ = signature.replace(parameters=by_keyword)  # type: ignore[attr-defined]
    return run


def _options(group: Any) -> list[inspect.Parameter]:
    types = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            each.name,
            inspect.Parameter.KEYWORD_ONLY,
            annotation=types[each.name],
            default=inspect.Parameter.empty if each.default is MISSING else each.default,
        )
        for each in fields(group)
        if hasattr(types[each.name], "__metadata__")
    ]


def several_workloads(default: str, help_: str, **more: Any) -> Any:
    """The option `--workload` of a command that takes several. `default` says which ones it takes without it."""
    return typer.Option("--workload", show_default=default, autocompletion=workload_names, help=help_, **more)


Reason = Annotated[str, typer.Option(help="Why, for the audit table.")]
Json = Annotated[bool, flag("--json", "Print JSON, for programs.")]
Version = Annotated[str, typer.Argument(show_default="the live one", help="A version's number.")]


@dataclass(frozen=True, kw_only=True)
class Within(Inside):
    """What of a workbook or a database is read."""

    sheet: Annotated[str, typer.Option(show_default="the first", help="The sheet of a workbook.")] = ""
    table: Annotated[str, typer.Option(show_default="the only one", help="A table of SQLite.")] = ""
    sql: Annotated[str, typer.Option(show_default=False, help="A query of SQLite: its result.")] = ""


def split_words(text: str) -> tuple[str, ...]:
    """The words of an option that has several, with commas between."""
    return tuple(word.strip() for word in text.split(",") if word.strip())
