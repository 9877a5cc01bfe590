"""The catalogues of the product: where an X is added, what is written for it, and which test then asks it unasked."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Catalogue:
    """One kind of X. `<x>` in a path stands for the new one."""

    what: str
    new: str
    """The file that is written; empty where the line in the catalogue is all."""
    name: str
    """What gets a line in `file`."""
    file: str
    write: str
    """The class or protocol of the entry."""
    test: str
    """The test that finds the new one by the catalogue."""


CATALOGUES = (
    Catalogue("model family", "millrace/models/<x>/declaration.py, network.py", "FAMILIES",
              "millrace/models/catalogue.py", "Parameters", "millrace/models/test_families.py"),
    Catalogue("encoder", "millrace/features/<x>.py", "ENCODERS", "millrace/features/catalogue.py", "Encoder",
              "millrace/features/test_encoders.py"),
    Catalogue("kind of tensor", "millrace/features/tensors.py", "ENTRIES",
              "millrace/features/tensors.py", "Entries", "millrace/features/test_encoders.py"),
    Catalogue("task", "millrace/tasks/<x>.py", "TASKS", "millrace/tasks/catalogue.py", "Task",
              "millrace/tasks/test_tasks.py"),
    Catalogue("gate", "millrace/evaluation/gates/<x>.py", "Gates", "millrace/evaluation/gates/catalogue.py", "Gate",
              "millrace/evaluation/gates/test_catalogue.py"),
    Catalogue("naive rule", "millrace/evaluation/naive/<x>.py", "NaiveRule", "millrace/evaluation/naive/catalogue.py",
              "NaiveGate", "millrace/evaluation/test_rules.py"),
    Catalogue("simple model", "millrace/evaluation/simple/<x>.py", "SIMPLE",
              "millrace/evaluation/simple/catalogue.py", "SimpleModel", "millrace/evaluation/test_rules.py"),
    Catalogue("rule of a contract", "millrace/contract/rules/<x>.py", "RULES", "millrace/contract/rules/catalogue.py",
              "Rule", "millrace/contract/test_rules.py"),
    Catalogue("format of files", "millrace/files/<x>.py", "FORMATS", "millrace/files/catalogue.py", "FileFormat",
              "console/files/test_catalogue.py"),
    Catalogue("drift statistic", "", "STATISTICS", "millrace/monitoring/statistics.py", "Statistic",
              "millrace/monitoring/test_statistics.py"),
    Catalogue("kind of consumer", "millrace/consumers/<x>.py", "Kind", "millrace/consumers/catalogue.py", "Consumer",
              "millrace/consumers/test_catalogue.py"),
    Catalogue("alarm of a monitor", "", "RATIO_ALARMS", "millrace/monitoring/alarms.py", "RatioAlarm",
              "infra/stacks/test_operations.py"),
    Catalogue("operations alarm", "", "ALARMS", "millrace/operations/alarms.py", "OperationsAlarm",
              "infra/stacks/test_operations.py"),
    Catalogue("notice", "", "NOTICES", "millrace/operations/notices.py", "Notice", "infra/stacks/test_operations.py"),
    Catalogue("event on the bus", "", "EVENTS", "millrace/messages/events.py", "BusEvent",
              "infra/machines/test_events.py"),
    Catalogue("audit record", "", "AuditEvent", "millrace/messages/audit.py", "Message",
              "millrace/state/test_audit.py"),
    Catalogue("machine", "infra/machines/<x>.py", "MACHINES", "millrace/names.py", "define",
              "infra/machines/test_edges.py"),
    Catalogue("stack of each workload", "infra/stacks/<x>.py", "ROOMS", "infra/stacks/catalogue.py", "Stack",
              "infra/stacks/test_rooms.py"),
    Catalogue("rule on templates", "infra/rules/<x>.py", "TEMPLATE_RULES", "infra/rules/catalogue.py", "check",
              "infra/rules/test_rules.py"),
    Catalogue("setting of a stage", "", "Options", "infra/options.py", "field",
              "architecture/test_settings_are_read.py"),
    Catalogue("key of workload.yaml", "", "Workload", "millrace/workload/declaration.py", "Section",
              "architecture/test_settings_are_read.py"),
    Catalogue("hyperparameter", "", "Parameters", "millrace/models/parameters.py", "field",
              "architecture/test_settings_are_read.py"),
    Catalogue("instance type", "", "PRICES", "millrace/workload/prices.py", "Price",
              "millrace/workload/test_declaration.py"),
    Catalogue("command", "console/cli/<x>.py", "PANELS", "console/cli/app.py", "function",
              "console/test_commands.py"),
    Catalogue("kind of label that `new` proposes", "", "LABEL_KINDS", "console/new/kinds.py", "LabelKind",
              "console/new/test_columns.py"),
    Catalogue("story of the demo", "console/demo/<x>.py", "STORIES", "console/demo/run.py", "Story",
              "console/demo/test_run.py"),
    Catalogue("workload", "workloads/<x>/contract.yaml, workload.yaml", "", "", "Workload",
              "millrace/workload/test_fit.py"),
)  # fmt: skip
