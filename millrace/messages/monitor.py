"""The messages of the machine `monitor`, and the request (`request.json`) and report (`report.json`) of its job.

    plan_windows     → WindowsPlanned     which windows are complete, and the inputs of the job
    drift job        MonitorRequest → MonitorReport
    publish_metrics  → MetricsPublished   the report's figures are metrics now, and the cursors have moved

A window is a stretch of event time, for example a week. Its input is judged once, as soon as it is over. Its error is
judged again until the labels have come or are given up: the error is open until then, and settled after."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal

from pydantic import Field

from millrace.messages.asked_labels import AskedLabels, LabelErrorReport, LabelWanted
from millrace.messages.envelope import ExecutionInput, Message, Moment, StepResult, read_message
from millrace.messages.feedback import FeedbackReport, OverrideReport

REQUEST_FILE = "request.json"
BASELINE_FILE = "baseline.json"
REPORT_FILE = "report.json"
GIVE_UP_WINDOWS = 13
"""A window's labels are given up this many window lengths after the last of them can be known."""


class NoWindows(StrEnum):
    """Why a monitor run judges nothing."""

    NO_CHAMPION = "no_champion"
    NONE_COMPLETE = "none_complete"
    """No new window is over, and no window of before waits for labels; also as long as there is no decision."""
    NOT_YET = "not_yet"
    """`as_of` lies after the start of the run: rows of windows that are not over would be judged once and for all."""


class MonitorInput(ExecutionInput):
    """The input of a monitor run: {"cause": "command", "as_of": "1997-05-15T06:00:00Z", "started": "1997-05-16T…"}."""

    started: Moment | None = None
    """When the run started, by the machine's clock. None in runs of a machine that does not say it."""


class WindowsPlanned(Message):
    """The answer of the function `plan_windows`: the number of windows to judge, and the inputs of the drift job.

    {"count": 4, "reason": null, "decisions": 31, "labels": 1488, "days_left_out": 0, "model_version": "1",
     "manifest_uri": "s3://…/electricity/windows/1f0d9a52/manifest.json",
     "labels_uri": "s3://…/electricity/windows/1f0d9a52/labels/",
     "config_uri": "s3://…/electricity/windows/1f0d9a52/config/",
     "baseline_uri": "s3://…/electricity/runs/first/baseline.json",
     "report_uri": "s3://…/electricity/monitor/run=1f0d9a52"}"""

    count: int
    """Windows to judge. If it is 0, no job runs and the other fields are empty."""
    reason: NoWindows | None = None
    """Why there is no window to judge. None if there is one."""
    decisions: int = 0
    """Objects in the manifest; each holds many decisions."""
    labels: int = 0
    """Labels of the windows' time."""
    days_left_out: int = 0
    """Days with decisions before the first window of all. No run ever judges them."""
    model_version: str = ""
    """The champion's version."""
    volume_gb: int = 0
    """The volume of the job."""
    manifest_uri: str = ""
    """SageMaker's manifest of the objects with decisions."""
    labels_uri: str = ""
    config_uri: str = ""
    """The folder with `request.json`, `workload.yaml` and `contract.yaml`."""
    baseline_uri: str = ""
    """The champion's baseline."""
    report_uri: str = ""
    """The folder that the job writes `report.json` to, without "/" at its end."""


class MetricsPublished(Message):
    """The answer of the function `publish_metrics`.

    {"judged": 4, "ratios": {"input-drift": 1.37, "error": null}, "ask_guard": true,
     "alarms": ["millrace-local-electricity-input-drift"], "refused": {"labels": 0.0041}}"""

    judged: int
    """Windows whose input was judged."""
    ratios: dict[str, float | None]
    """By alarm of RATIO_ALARMS the published figure; above 1 it alarms. None if the report has no figure for it."""
    ask_guard: bool
    """Whether an alarm was in ALARM before and stays there.

    CloudWatch then reports no change of state, so the machine itself asks the guard for a retraining."""
    alarms: tuple[str, ...]
    """The names of the alarms that stay in ALARM."""
    refused: dict[str, float] = Field(default_factory=dict)
    """By feed: the usual share of refused rows (`millrace.state.refused_share`)."""
    labels_wanted: int = 0
    """How many decisions people are asked about now."""


class PlannedState(ExecutionInput):
    """The state after the windows are planned: {"plan_windows": {"answer": {"count": 4, …}}, …}."""

    plan_windows: StepResult[WindowsPlanned]
    started: Moment | None = None


class SliceError(Message):
    """The error on the rows with one value of a column, with its interval."""

    column: str
    value: str
    rows: int
    error: float
    low: float
    high: float


class Window(Message):
    """A stretch of event time to judge, from `start` until just before `end`.

    {"start": "1997-05-07T00:00:00Z", "end": "1997-05-14T00:00:00Z", "judge_input": true, "judge_error": true}"""

    start: Moment
    end: Moment
    judge_input: bool
    """Whether its input was not judged before."""
    judge_error: bool
    """Whether its error is still open. A window with neither only makes the row of successive windows complete."""
    asked: AskedLabels | None = None
    """None if no labels of the window were asked for."""


class PromiseNow(Message):
    """The promised error of the champion's acting answers, and the least confidence with which they act now."""

    promised_error: float
    threshold: float


class FloorDay(Message):
    """What the answers of one day have cost, the version's and those that the naive rule would have given."""

    day: str
    """The date of the event time (UTC), as 1997-05-30."""
    labels: int
    own: float
    """The sum over the labelled answers of their error, or of their log loss."""
    rule: float
    """The same of the rule."""


class FloorNow(Message):
    """Whether the naive rule answers in place of the champion now, and what that was judged by."""

    rule: dict[str, Any] | None
    """What the rule answers to every row; None if it looks back from each."""
    below: bool = False
    days: tuple[FloorDay, ...] = ()


class MonitorRequest(Message):
    """The request of the drift job: the content of `request.json`."""

    workload: str
    as_of: Moment
    model_version: str
    """The champion's version. The baseline belongs to it, and only its own decisions count for the error."""
    baseline_digest: str = ""
    """The approved SHA-256 of the baseline's file. Empty for a version that was registered before digests were kept."""
    windows: tuple[Window, ...]
    """In order of time."""
    promise: PromiseNow | None = None
    """None if the workload promises no error, or if nothing of the champion may act."""
    floor: FloorNow | None = None
    """None without a floor, or if the rule's answer is not known."""
    registered_at: Moment | None = None
    """When the champion was registered: it has learnt no label that came later. None if no label errors are ranked."""


class DriftFinding(Message):
    """One statistic of one column. `ratio` is value ÷ bound; above 1 it alarms."""

    column: str
    statistic: str
    value: float
    bound: float
    ratio: float


class InputReport(Message):
    """How a window's input compares with the baseline."""

    rows: int
    """Decisions in the window."""
    ratio: float | None
    """The largest ratio of the findings. None if the window has too few rows to judge."""
    findings: tuple[DriftFinding, ...]
    """Largest ratio first."""


class ErrorReport(Message):
    """How wrong the window's decisions were."""

    answered: int
    """Entities at a moment that a model decided on. Of several decisions on one of them the first counts."""
    labelled: int
    """How many of the answered have a label."""
    champions: int
    """How many of the labelled were decided by the champion."""
    error: float | None
    """The champion's mean error, as the task measures it: exact if every row has a label, else estimated.

    None if too few of its decisions have a label."""
    ratio: float | None
    """The smallest error of the last `windows` in a row ÷ bound; above 1 it alarms.

    None if one of these windows has no error, or if there is no bound."""
    bound: float | None = None
    """The bound for windows with that many labelled decisions. None without a bound, and in older reports."""
    windows: int = 1
    """How many windows in a row the figure rests on."""
    settled: bool
    """Whether nearly all labels have come, or nearly all that were asked for: the window need not be judged again."""
    low: float | None = None
    high: float | None = None
    """The interval that holds the error with 95 %: what the rows without a label leave open."""
    expected: float | None = None
    """The error by the model's own confidence, or by what the errors of its held-out rows depend on. It needs no label.

    None if neither is known, or if the newest labels contradict it."""
    expected_interval: tuple[float, float] | None = None
    """The interval of what is expected by held-out rows, 95 %; None for an expectation by confidence."""
    contradicted: bool = False
    """Whether the labels of this window contradict what the model expected of itself."""
    overrides: OverrideReport | None = None
    """None with too few labelled answers that waited for people, or if nothing is expected of them."""
    slices: tuple[SliceError, ...] = ()
    """Those of the columns that the gate `slices` names."""


class PromiseReport(PromiseNow):
    """How the promise was kept in the windows whose labels have come, and the threshold that follows from it.

    `threshold` is the one from now on."""

    before: float
    """The threshold until now."""
    learnt: int
    """The champion's labelled answers in these windows."""
    acted: int
    """How many of them acted by themselves."""
    wrong: float
    """The errors of the answers that acted, in sum."""


class FloorReport(Message):
    """How the champion and the naive rule compare on the newest labels, and who answers from now on."""

    below: bool
    """Whether the rule answers."""
    before: bool
    """Whether it did until now."""
    labels: int
    """0 if the rule answers since an alarm whose labels are missing, or until its end: own and rule are 0 too."""
    own: float
    """The champion's mean error, or mean log loss."""
    rule: float
    """The rule's."""


class FloorFound(FloorReport):
    """The same, with the days that were compared."""

    days: tuple[FloorDay, ...]


ShiftKind = Literal["out_of_support", "covariate_shift", "label_shift", "concept_drift"]


class Shift(Message):
    """How a window differs from training: {"kind": "out_of_support", "columns": ["vicprice", "transfer"]}.

    out_of_support    rows lie where training had none: the model is asked about what it has never seen
    covariate_shift   the rows are others, in places that training knows: the model may still be right
    label_shift       another mix of labels, and that alone explains the model's errors
    concept_drift     the same rows have other labels now: the model is wrong more often than it says"""

    kind: ShiftKind
    columns: tuple[str, ...]
    """Of the input, those that moved most first. Of concept drift, those on whose values the errors depend; empty if
    they are more everywhere."""


class ServedReport(Message):
    """Who answered the rows of a window, and how fast.

    For example {"fallback": 48, "review": 12, "reasons": {"no_model": 48, "unsure": 12}, "calls": 7, …}.

    Rows of a file belong to no call."""

    fallback: int
    """Rows that no model answered."""
    review: int
    """Rows that a person decides."""
    reasons: Mapping[str, int]
    """Of both, how many by the reason, the most frequent first."""
    calls: int
    p50_ms: float | None = None
    """The time of a call; None without one."""
    p95_ms: float | None = None
    p99_ms: float | None = None


class WindowReport(Message):
    """The judgement of one window. The alarms of `millrace.monitoring.alarms` take their figures from it."""

    start: Moment
    end: Moment
    decisions: int
    input: InputReport | None
    """None if an earlier run has judged the input."""
    error: ErrorReport | None
    """None if the error was settled or given up before."""
    wanted: tuple[LabelWanted, ...] = ()
    """The decisions whose labels people are asked for, if it is declared: once, when they can be known."""
    shifts: tuple[Shift, ...] = ()
    """What the input says at the first look, and the labels at each."""
    served: ServedReport | None = None
    """At the first look."""


class MonitorReport(Message):
    """The judgement of all windows of one run: the content of `report.json`."""

    workload: str
    as_of: Moment
    model_version: str
    unreadable: int = Field(ge=0)
    """Lines that are no decisions. They are left out of every figure, and an alarm counts them."""
    label_hours: float = 0
    """How many hours after a row its label can be known: the last horizon."""
    windows: tuple[WindowReport, ...]
    promise: PromiseReport | None = None
    """None without a promise, or if no window has got its labels."""
    floor: FloorFound | None = None
    """None without a floor, or if no window has got its labels."""
    feedback: FeedbackReport | None = None
    """None without a held-out share, or if too few of either kind have their labels."""
    label_errors: LabelErrorReport | None = None
    """None if people are asked about no label errors, or if no window has got its labels."""

    @property
    def judged(self) -> int:
        """The metric WindowsJudged: how many windows had enough rows for their input to be judged."""
        return sum(window.input is not None and window.input.ratio is not None for window in self.windows)

    @property
    def input_cursor(self) -> datetime | None:
        """The end of the last window whose input is judged, or is recorded as too thin. None without a new window."""
        return max((window.end for window in self.windows if window.input), default=None)

    @property
    def error_cursor(self) -> datetime | None:
        """The event time up to which every error is settled or given up. None if the report has no error at all.

        Example: if the windows 1 and 2 are settled, 3 is open and 4 is settled, it is the end of window 2. Window 3 and
        all after it are judged again."""
        opened = [window for window in self.windows if window.error]
        known_until = self.as_of - timedelta(hours=self.label_hours)
        # Go forward over the windows that need no further look: settled, or too old for labels that have not come.
        for window in opened:
            patience = GIVE_UP_WINDOWS * (window.end - window.start)
            if window.error and not window.error.settled and known_until - window.end < patience:
                return window.start
        return opened[-1].end if opened else None


def read_report(text: str | bytes) -> MonitorReport:
    """The report in the text. Raises SettingsError, which names the field, if the text does not fit."""
    return read_message(MonitorReport, text, REPORT_FILE)
