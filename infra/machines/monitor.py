"""The machine `monitor`: find complete windows, judge them, publish metrics, ask the guard again if an alarm stays."""

from __future__ import annotations

from millrace.infra.context import Context
from millrace.infra.iam import sagemaker_jobs
from millrace.infra.iam.resource import Statement
from millrace.infra.machines import jobs, states
from millrace.infra.machines.paths import Result
from millrace.infra.machines.states import Definition, State
from millrace.messages.events import RetrainRequested
from millrace.messages.monitor import MetricsPublished, WindowsPlanned
from millrace.names import JOB_ROLE
from millrace.workload.training_cost import MONITOR_MINUTES

WINDOWS = Result(
    "plan_windows",
    WindowsPlanned,
    "Find the complete windows since the cursors, list their decisions, write their labels",
)
METRICS = Result(
    "publish_metrics",
    MetricsPublished,
    "Put the metrics, move the cursors forward, look for alarms that stay in ALARM",
)
TIMEOUT_S = 4 * 3600


def definition(context: Context) -> Definition:
    """The definition. Input: `cause` and `as_of`, which decides which windows are complete. Both may be left out."""
    return states.machine(
        f"Judge the windows of {context.workload.name} that are complete and publish what was found",
        start="Defaults",
        timeout_s=TIMEOUT_S,
        states={
            **states.defaults("Windows", **{"started.$": states.STARTED, "detail": {}}),
            "Windows": states.invoke(context, WINDOWS, next_state="Anything new?"),
            "Anything new?": states.choice(
                "Is there a champion, and a window that is not judged yet?",
                [({"Variable": WINDOWS.path("count"), "NumericEquals": 0}, "Nothing new")],
                otherwise="Drift",
            ),
            "Nothing new": states.succeed("Nothing to judge; the cursors stay"),
            **_drift(context),
            "Publish metrics": states.invoke(context, METRICS, next_state="Still alarmed?"),
            "Still alarmed?": states.whether(
                "Alarms tell of a change of state only: does one stay, so that nobody else asks the guard?",
                METRICS.path("ask_guard"),
                yes="Ask the guard",
                no="Watched",
            ),
            **states.put_event(
                context,
                "Ask the guard",
                event=RetrainRequested,
                detail=states.fields(METRICS, "alarms"),
                comment="Ask for a retraining; the guard weighs it",
                next_state="Watched",
            ),
            "Watched": states.succeed("Metrics are out and the cursors have moved"),
        },
    )


def _drift(context: Context) -> dict[str, State]:
    """The job that judges the windows. `plan_windows` names its inputs and where its report goes."""
    return jobs.processing(
        context,
        "Drift",
        comment="Judge the windows' input and error against the champion's baseline",
        module="millrace.jobs.monitoring",
        inputs=[
            jobs.given("config", WINDOWS.path("config_uri")),
            jobs.given("baseline", WINDOWS.path("baseline_uri")),
            jobs.given("decisions", WINDOWS.path("manifest_uri"), manifest=True),
            jobs.given("labels", WINDOWS.path("labels_uri")),
        ],
        outputs=[jobs.made("report", WINDOWS.path("report_uri"))],
        minutes=MONITOR_MINUTES,
        volume_gb=WINDOWS.path("volume_gb"),
        result="drift",
        next_state="Publish metrics",
    )


def statements(context: Context) -> list[Statement]:
    """The rights of the machine itself, beside calling its functions."""
    return [
        *states.put_event_statements(context, RetrainRequested),
        *sagemaker_jobs.run(context.names, {"Processing": [JOB_ROLE]}),
    ]
