"""The tables of README and docs/, made of the catalogues, declarations, messages and commands of the product.

A table stands in a page between `<!-- table: gates -->` and `<!-- end -->`; `make docs` writes it anew."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args

import typer
import yaml
from pydantic import BaseModel

from millrace.console.cli.app import app
from millrace.console.people import NEEDS, command_of
from millrace.console.queries.money.work import MONTH_S, POLL_S, POLLERS, RATES
from millrace.console.web.acts import ACTS
from millrace.consumers.catalogue import Kind
from millrace.consumers.consumer import Consumer
from millrace.contract.load import COLUMN_PROPERTIES, load_contract
from millrace.contract.reasons import Reason
from millrace.contract.rules.catalogue import RULES
from millrace.errors import WorkloadError
from millrace.evaluation.gates.catalogue import Gates
from millrace.evaluation.gates.gate import Gate
from millrace.evaluation.naive.catalogue import NAIVE_RULES
from millrace.evaluation.naive.rule import NaiveGate
from millrace.features.catalogue import ENCODERS
from millrace.infra.options import Options
from millrace.messages.audit import AuditEvent
from millrace.messages.envelope import Message
from millrace.messages.events import EVENTS, BusEvent
from millrace.models.catalogue import FAMILIES
from millrace.models.parameters import Parameters
from millrace.monitoring.alarms import every_monitor_alarm
from millrace.monitoring.statistics import STATISTICS
from millrace.names import Platform, WorkloadNames
from millrace.operations.alarms import (
    ALARMS,
    COMPOSITE,
    ENDPOINT_ALARMS,
    SECTION_ALARMS,
    SERVING,
    STAGE_ALARMS,
    USD_PER_COMPOSITE,
    USD_PER_METRIC,
    consumer_alarms,
)
from millrace.operations.dead_letters import DEAD_LETTERS, EVENTS_HOLD, dead
from millrace.operations.notices import NOTICES
from millrace.people import who_may
from millrace.tasks.catalogue import TASKS
from millrace.workload.declaration import SET_BY_PREDICTION, SET_ELSEWHERE, Workload
from millrace.workload.fit import check_fit
from millrace.workload.load import load_workload
from millrace.workload.places import models_in
from tests.documentation.catalogues import CATALOGUES
from tests.documentation.declared import code, default, field_docstrings, keys, members, summary, table
from tests.kinds import CAPABILITIES, KINDS, Capability, DataKind, merged
from tests.plant import write_plant

ROOT = Path(__file__).resolve().parents[2]
COMMON = ("--workload", "--stage", "--build", "--json", "--help")
"""The options that nearly all commands have; they stand once, above the tables."""
PLATFORM = Platform(stage="dev", account="123456789012", region="eu-west-1")


def commands() -> str:
    """Every command by its group of `millrace --help`, and what it does."""
    parts: dict[str, list[tuple[str, str]]] = {}
    for name, command in typer.main.get_group(app).commands.items():
        panel = command.rich_help_panel if isinstance(command.rich_help_panel, str) else "Commands"
        inner = getattr(command, "commands", None)
        each = {f"{name} {sub}": one for sub, one in inner.items()} if inner else {name: command}
        parts.setdefault(panel, []).extend(_command(words, one) for words, one in each.items())
    return "\n\n".join(f"## {panel}\n\n{table(('command', 'does'), rows)}" for panel, rows in parts.items())


def _command(words: str, command: Any) -> tuple[str, str]:
    arguments = [
        name if one.required else f"[{name}]"
        for one in command.params
        if one.param_type_name == "argument" and (name := one.metavar or one.name.upper())
    ]
    options = [one for one in command.params if one.param_type_name == "option" and one.required]
    asked = [f"{one.opts[0]} …" for one in options if one.opts[0] not in COMMON]
    return code(" ".join(["millrace", words, *arguments, *asked])), summary(command.callback)


def people() -> str:
    """The commands and the acts of pages, by the roles that may."""
    found: dict[str, list[str]] = {}
    for command, rights in NEEDS.items():
        found.setdefault(", ".join(who_may(rights)), []).append(command)
    rows = []
    for roles, commands in found.items():
        acts = [act for act in ACTS if act not in commands and command_of(act) in commands]
        rows.append((roles, ", ".join(commands) + (f"; on a page {', '.join(acts)}" if acts else "")))
    return table(("roles", "may"), rows)


def workload_keys() -> str:
    """Every key of workload.yaml; families, gates and naive rules have tables of their own."""
    elsewhere = {
        "prediction.task": f"What is answered: {', '.join(map(code, TASKS))}.",
        "training.family": f"The network: {', '.join(map(code, FAMILIES))}.",
        "prediction.label": "The column of the label, `{column, horizon_hours}`, or a list of columns.",
        "training.parameters": "The family's hyperparameters: [below](#hyperparameters).",
        "gates": "What a model must pass: [Gates](gates.md).",
        "consumers": "Where decisions go, by name: [Consumers](review.md#consumers).",
        "jobs": "`{}`: callers of the REST API may leave a request as a [job](predictions.md#jobs).",
        "queries": "Rows come by [scheduled queries](drops.md#rows-of-a-query) too, by name.",
        "sources": "Rows come from [APIs and databases](drops.md#rows-of-another-system) too, by name.",
        "stream": "`{}`: rows come as records of a [stream](predictions.md#rows-of-a-stream) too.",
    }
    unset = tuple(f"prediction.{key}" for key in SET_ELSEWHERE) + tuple(
        f"prediction.features.{key}" for key in SET_BY_PREDICTION
    )
    return table(("key", "default", "means"), list(keys(Workload, without=unset, within=elsewhere)))


def consumers() -> str:
    """The keys of every consumer, then those of each kind."""
    rows = [
        row
        for kind in get_args(Kind)
        for (to,) in (get_args(kind.model_fields["to"].annotation),)
        for row in (
            (code(f"to: {to}"), "", summary(kind)),
            *keys(kind, without=("to", *Consumer.model_fields)),
        )
    ]
    return table(("key", "default", "means"), [*keys(Consumer), *rows])


def hyperparameters() -> str:
    """The hyperparameters that every family has, then those of some; equal ones of several families share a row."""
    common = {code(name) for name in Parameters.model_fields}
    shared: dict[tuple[str, str, str], list[str]] = {row: ["every family"] for row in keys(Parameters)}
    for name, family in FAMILIES.items():
        for row in keys(family):
            if row[0] not in common:
                shared.setdefault(row, []).append(code(name))
    return table(("family", "key", "default", "means"), [(", ".join(who), *row) for row, who in shared.items()])


def gates() -> str:
    """Each gate with its bounds; the naive rules, any of which is the gate `baseline`, have a table of their own."""
    told = field_docstrings(Gates)
    rows = []
    for name, field in Gates.model_fields.items():
        judged = next(one for one in models_in(field.annotation) if issubclass(one, Gate))
        if issubclass(judged, NaiveGate):
            rows.append((code(name), "[below](#naive-rules)", "Refuses a first model that does not beat a naive rule."))
            continue
        must = f" {told.get(name, 'Required.')}" if field.is_required() else ""
        rows.append((code(name), _bounds(judged), summary(judged) + must))
    return table(("gate", "keys", "refuses"), rows)


def _bounds(gate: type[BaseModel]) -> str:
    """`max_mb`, `minimum_rows: 100`: the keys of a gate with their defaults."""
    held = {name: default(field).strip("`") for name, field in gate.model_fields.items() if name != "kind"}
    return ", ".join(code(name if value in ("required", "") else f"{name}: {value}") for name, value in held.items())


def naive_rules() -> str:
    return table(
        ("kind", "keys", "answers", "tasks"),
        [(code(kind), _bounds(rule), summary(rule), ", ".join(_suited(rule))) for kind, rule in NAIVE_RULES.items()],
    )


def _suited(rule: type[NaiveGate]) -> list[str]:
    return [name for name, task in TASKS.items() if rule.suits(task)]  # type: ignore[arg-type]


def encoders() -> str:
    rows = [
        (code(name), one.takes_features, ", ".join(one.default_for) or "name it by `encoder`", summary(one))
        for name, one in ENCODERS.items()
    ]
    return table(("encoder", "takes", "default for", "becomes"), rows)


def kinds() -> str:
    """Each kind of answer and rows, and when a story drives it through what it may do, or why that is refused."""
    rows = [(kind.answers, *(_cell(kind, one) for one in CAPABILITIES.values())) for kind in KINDS.values()]
    refused = {
        f"`no` to {name}: expected {reason}."
        for kind in KINDS.values()
        for name, one in CAPABILITIES.items()
        if not one.needs(kind) and (reason := _refused(kind.task, one))
    }
    return "\n\n".join([table(("kind", *CAPABILITIES), rows), *sorted(refused)])


def _cell(kind: DataKind, capability: Capability) -> str:
    if capability.needs(kind):
        return "night" if kind.night else "day"
    return "no" if _refused(kind.task, capability) else "-"


def _refused(task: str, capability: Capability) -> str:
    """What would have to be declared instead; empty where the capability is not refused."""
    with TemporaryDirectory() as folder:
        plant = write_plant(Path(folder), task)
        path = plant.folder / "workload.yaml"
        path.write_text(yaml.safe_dump(merged(yaml.safe_load(path.read_text()), capability.declared or {})))
        try:
            check_fit(load_workload(plant.folder), load_contract(plant.folder))
        except WorkloadError as error:
            return error.expected
    return ""


def _module(owner: Any) -> str:
    """What the module of a class or function says of itself."""
    return summary(sys.modules[owner.__module__])


def rules() -> str:
    """The rules of a contract in the order in which a cell is judged, with an example that declares each."""
    rows = [
        (code(rule.reason.value), ", ".join(rule.kinds), "; ".join(_yaml(rule.examples)) or "implied", _module(rule))
        for rule in RULES
    ]
    return table(("reason", "columns of", "declared by", "rule"), rows)


def _yaml(examples: Iterable[Mapping[str, Any]]) -> list[str]:
    words: dict[str, None] = {}
    for example in examples:
        for key, value in example.items():
            if key == "logicalTypeOptions":
                words |= dict.fromkeys(map(code, value))
            elif key == "customProperties":
                words |= {code(each["property"]): None for each in value}
            elif key == "quality":
                words |= {code(each["metric"]): None for each in value}
            else:
                words[code(key)] = None
    return list(words)


def reasons() -> str:
    """The reasons of quarantine, without those that a rule of the contract tells."""
    of_rules = {rule.reason for rule in RULES}
    rows = [(code(reason.value), told) for reason, told in members(Reason) if reason not in of_rules]
    return table(("reason", "means"), rows)


def properties() -> str:
    return ", ".join(map(code, COLUMN_PROPERTIES))


def statistics() -> str:
    rows = [
        (
            code(name),
            ", ".join(one.kinds),
            f"{one.fixed_bound:g}" if one.fixed_bound is not None else "calibrated",
            summary(one.distance),
        )
        for name, one in STATISTICS.items()
    ]
    return table(("statistic", "columns", "bound", "measures"), rows)


def _alarms() -> list[tuple[str, str, str, float]]:
    """Every alarm and notice: name, severity, whose it is, and USD a month."""
    names, of_one = WorkloadNames(platform=PLATFORM, workload="electricity"), consumer_alarms(["orders"])
    return [
        *(
            (name, one.severity, "workload", USD_PER_METRIC * len(one.metrics(names)))
            for name, one in (ALARMS | ENDPOINT_ALARMS | every_monitor_alarm()).items()
        ),
        *((name, one.severity, "consumers", USD_PER_METRIC * len(one.metrics(names))) for name, one in of_one.items()),
        *(
            (name, one.severity, section, USD_PER_METRIC * len(one.metrics(names)))
            for section, of_section in SECTION_ALARMS.items()
            for name, one in of_section.items()
        ),
        (SERVING, COMPOSITE.severity, "workload", USD_PER_COMPOSITE),
        *(
            (name, one.severity, "stage", USD_PER_METRIC * len(one.metrics(PLATFORM)))
            for name, one in STAGE_ALARMS.items()
        ),
        *((name, one.severity, "stage", 0) for name, one in NOTICES.items()),
    ]


def alarms() -> str:
    """The runbooks of all alarms and notices, by whose they are, severity, and what each costs a month."""
    alike: dict[tuple[str, str, str], list[str]] = {}
    for name, severity, of, usd in _alarms():
        alike.setdefault((of, severity, f"{usd:.2f}"), []).append(f"[{name}](#{name})")
    return table(
        ("of", "severity", "USD a month", "each of"), [(*key, ", ".join(names)) for key, names in alike.items()]
    )


IMAGES_GB = 11
"""The base image of trainings on GPUs and two images for CPUs; each build that is kept counts again."""


def idle() -> str:
    """What is billed by the month while nothing happens, beside the hours of an endpoint and what is stored."""
    alarms = {of: sum(usd for _, _, whose, usd in _alarms() if whose == of) for of in ("workload", "stage")}
    polled = len(DEAD_LETTERS) * POLLERS * MONTH_S / POLL_S * RATES["queue request"].usd
    rows = {
        f"{len(DEAD_LETTERS)} queues of a workload that functions poll": polled,
        "alarms of a workload": alarms["workload"],
        "two alarms that scale a live endpoint": 2 * USD_PER_METRIC,
        "a stream of rows": MONTH_S / 3600 * RATES["stream hour"].usd,
        "alarms of a stage": alarms["stage"],
        f"images of a stage, some {IMAGES_GB} GB": IMAGES_GB * RATES["image GB month"].usd,
    }
    return table(("what", "USD a month"), [(what, f"{usd:.2f}") for what, usd in rows.items()])


def events() -> str:
    common = set(BusEvent.model_fields)
    rows = [
        (code(name), summary(event), ", ".join(code(field) for field in event.model_fields if field not in common))
        for name, event in EVENTS.items()
    ]
    return table(("detail type", "when", "fields beside `workload`, `run`, `cause`"), rows)


def audit() -> str:
    """The records by their details; events with the same details share a row."""
    events: dict[type[Message], list[str]] = {}
    for event in AuditEvent:
        events.setdefault(event.details, []).append(code(event.value))
    return table(("event", "details"), [(", ".join(names), summary(kind)) for kind, names in events.items()])


def dead_letters() -> str:
    rows = [(code(f"…-{dead(name)}"), one.holds, code(one.reader)) for name, one in DEAD_LETTERS.items()]
    return table(("queue", "holds", "read by"), [*rows, (code("…-events-dead"), EVENTS_HOLD, "nobody")])


def catalogues() -> str:
    rows = [
        (
            one.what,
            code(one.new) or "–",
            f"{code(one.file)}: {code(one.name)}" if one.file else "the folder is found",
            code(one.write),
            code(one.test),
        )
        for one in CATALOGUES
    ]
    return table(("X", "write", "one line in", "of the class", "asked unasked by `tests/`"), rows)


TABLES: Mapping[str, Callable[[], str]] = {
    "commands": commands,
    "workload": workload_keys,
    "consumers": consumers,
    "hyperparameters": hyperparameters,
    "stage": lambda: table(("key", "default", "means"), list(keys(Options))),
    "gates": gates,
    "naive": naive_rules,
    "families": lambda: table(("family", "network"), [(code(name), summary(one)) for name, one in FAMILIES.items()]),
    "encoders": encoders,
    "tasks": lambda: table(("task", "an answer"), [(code(name), _module(task)) for name, task in TASKS.items()]),
    "kinds": kinds,
    "rules": rules,
    "reasons": reasons,
    "properties": properties,
    "statistics": statistics,
    "alarms": alarms,
    "idle": idle,
    "events": events,
    "audit": audit,
    "dead-letters": dead_letters,
    "catalogues": catalogues,
    "people": people,
}
"""By the name in a page's mark."""

MARKED = re.compile(r"(<!-- table: ([\w-]+) -->\n).*?(<!-- end -->)", re.S)


def filled(text: str) -> str:
    """The page with its tables as the code has them now."""
    return MARKED.sub(lambda found: f"{found[1]}\n{TABLES[found[2]]()}\n\n{found[3]}", text)
