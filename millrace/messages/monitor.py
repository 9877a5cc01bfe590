"""The request (`request.json`) and the report (`report.json`) of a monitor run."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from pydantic import Field, ValidationError

from millrace.errors import SettingsError
from millrace.messages.envelope import ExecutionInput, Message, Moment, StepResult

REQUEST_FILE = "request.json"
BASELINE_FILE = "baseline.json"
REPORT_FILE = "report.json"
GIVE_UP_WINDOWS = 13
"""Windows after which labels that have not come are no longer waited for."""


class NoWindows(StrEnum):
    """Why a monitor run judges nothing."""

    NO_CHAMPION = "no_champion"
    NONE_COMPLETE = "none_complete"
    """The next window, or the time that its labels need, is not over."""


class WindowsPlanned(Message):
    """What the function `plan_windows` answers: how many windows there are and where the job finds what it needs."""

    count: int
    reason: NoWindows | None = None
    """Why there are none."""
    decisions: int = 0
    """Objects in the manifest."""
    labels: int = 0
    days_left_out: int = 0
    """Days with decisions that lie before the first window of all, which no run judges."""
    model_version: str = ""
    manifest_uri: str = ""
    labels_uri: str = ""
    config_uri: str = ""
    baseline_uri: str = ""
    report_uri: str = ""
    """The folder that the job writes to, without "/" at its end."""


class MetricsPublished(Message):
    """What the function `publish_metrics` answers."""

    judged: int
    ratios: dict[str, float | None]
    """By the alarm's name; None where the report says nothing about it."""
    ask_guard: bool
    """Whether an alarm was in ALARM before and stays there: no state change will start the retraining."""
    alarms: tuple[str, ...]
    """Those that stay."""


class PlannedState(ExecutionInput):
    """The state once the windows are planned."""

    plan_windows: StepResult[WindowsPlanned]


class WindowToJudge(Message):
    """One window to judge; see `millrace.monitoring.windows.Window`."""

    start: Moment
    end: Moment
    judge_input: bool
    judge_error: bool


class MonitorRequest(Message):
    """The drift job's request."""

    workload: str
    as_of: Moment
    model_version: str
    """The champion's: the baseline is its own, and so is the error that is compared with it."""
    baseline_digest: str = ""
    """SHA-256 of the baseline's file, as approved; empty for a version from before it was kept."""
    windows: tuple[WindowToJudge, ...]


class DriftFinding(Message):
    """One statistic of one column; ratio = value / bound, above 1 alarms."""

    column: str
    statistic: str
    value: float
    bound: float
    ratio: float


class InputReport(Message):
    """How a window's input compares with the baseline."""

    rows: int
    usual_rows: int
    ratio: float | None
    """The largest of all; None where the window had too few rows to judge."""
    findings: tuple[DriftFinding, ...]
    """Largest ratio first."""


class ErrorReport(Message):
    """How wrong the window's decisions were."""

    answered: int
    """Entities and moments that a model decided on; the first decision counts."""
    labelled: int
    champions: int
    """Of the labelled, those that the champion decided on."""
    error: float | None
    """Mean error of the champion's, as the task counts it; None where too few have labels, or too few are its own."""
    ratio: float | None
    """The smallest error of the last windows in a row ÷ bound; None where one of them has none, or no bound is set."""
    bound: float | None = None
    """Of windows with so many labelled decisions; None where none is set, and in former reports."""
    settled: bool
    """Whether later labels would change nothing."""


class WindowReport(Message):
    """What one window shows; the alarms of `millrace.monitoring.alarms` take their figures from it."""

    start: Moment
    end: Moment
    decisions: int
    input: InputReport | None
    """None where it was judged before."""
    error: ErrorReport | None
    """None where it was settled before."""


class MonitorReport(Message):
    """What one run found."""

    workload: str
    as_of: Moment
    model_version: str
    unreadable: int = Field(ge=0)
    """Lines that are no decisions; left out, never silently."""
    windows: tuple[WindowReport, ...]

    @property
    def judged(self) -> int:
        """The metric WindowsJudged: windows whose input was judged."""
        return sum(window.input is not None and window.input.ratio is not None for window in self.windows)

    @property
    def input_cursor(self) -> datetime | None:
        """End of the windows whose input is judged, or recorded as too thin; None without a new one."""
        return max((window.end for window in self.windows if window.input), default=None)

    @property
    def error_cursor(self) -> datetime | None:
        """End of the unbroken run of settled or abandoned windows, else the start of the first open one.

        None where no error was open."""
        opened = [window for window in self.windows if window.error]
        reached = opened[0].start if opened else None
        for window in opened:
            waited, patience = self.as_of - window.end, GIVE_UP_WINDOWS * (window.end - window.start)
            if window.error and not window.error.settled and waited < patience:
                break
            reached = window.end
        return reached


def read_request(text: str | bytes) -> MonitorRequest:
    """The request; raises SettingsError that names the field."""
    try:
        return MonitorRequest.model_validate_json(text)
    except ValidationError as error:
        raise _settings_error(REQUEST_FILE, error) from None


def read_report(text: str | bytes) -> MonitorReport:
    """The report; raises SettingsError that names the field."""
    try:
        return MonitorReport.model_validate_json(text)
    except ValidationError as error:
        raise _settings_error(REPORT_FILE, error) from None


def _settings_error(where: str, error: ValidationError) -> SettingsError:
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"]) or "(file)"
    return SettingsError(where=where, field=field, expected=first["msg"], came=first["input"])
