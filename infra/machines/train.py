"""The machine `train`: pin a dataset version, train on it, evaluate, judge, register."""

from __future__ import annotations

from millrace.artefact.artefact import ARCHIVE
from millrace.infra.context import Context
from millrace.infra.iam import sagemaker_jobs
from millrace.infra.iam.resource import Statement
from millrace.infra.machines import jobs, states
from millrace.infra.machines.paths import Result, path
from millrace.infra.machines.states import Definition, State
from millrace.messages.envelope import Event
from millrace.messages.events import DatasetCommitted, ModelRefused, ModelRegistered, TrainingRefused
from millrace.messages.train import (
    PAUSE_S,
    BudgetChecked,
    DatasetPinned,
    GatesJudged,
    TrainedState,
    TrainInput,
    VersionPulled,
    VersionRegistered,
)
from millrace.names import JOB_ROLE
from millrace.workload.training_cost import EVALUATION_MINUTES, EXTERNAL_MINUTES, longest_hours

SNAPSHOT = Result(
    "snapshot",
    DatasetPinned,
    "Take late labels in, tag the dataset version, write the manifest and the run's configuration",
)
BUDGET = Result("budget", BudgetChecked, "Labels as expected, one training at a time, and room in the month's budget")
PULLED = Result(
    "pull",
    VersionPulled,
    "Check the signature of the other stage's version, and copy it under this stage's key",
)
GATING = Result("gating", GatesJudged, "Judge the report by the workload's gates")
REGISTRATION = Result("registration", VersionRegistered, "Check the chain of digests and make a model version of it")
REASON = path(TrainInput, "reason")


def definition(context: Context, *, pretrained: str = "") -> Definition:
    """The definition. Input: `cause`, `as_of`, `reason` (first, alarm, schedule, command), `detail`. All are optional.

    `pretrained` is the URI of a pre-trained part that the training takes; empty for none.
    With `external_model`, the folder and the digest of an external model, that model is judged and nothing is trained.
    With `pulled`, the ARN of another stage's version, a copy of it is.
    """
    return states.machine(
        f"Train {context.workload.name}: pin, train, evaluate, judge, register",
        start="Defaults",
        timeout_s=int(longest_hours(context.workload) * 3600),
        states={**_beginning(context), **_training(context, pretrained), **_judgement(context)},
    )


def _beginning(context: Context) -> dict[str, State]:
    return {
        **states.defaults("Who requested it?", **{"started.$": states.STARTED, "detail": {}}),
        "Who requested it?": states.choice(
            "retrain says why; the first training is started by a committed dataset; else it is a person",
            [
                ({"Variable": REASON, "IsPresent": True}, "Snapshot"),
                ({"Variable": path(Event[DatasetCommitted], "detail", "rows_total"), "IsPresent": True}, "First"),
            ],
            otherwise="Command",
        ),
        "First": _reason("first", "Enough rows have come and there is no champion"),
        "Command": _reason("command", "A person started it"),
        "Snapshot": states.invoke(context, SNAPSHOT, next_state="Labels left?"),
        "Labels left?": states.whether(
            "Were there more late labels than one call joins?", SNAPSHOT.path("has_more"), yes="Pause", no="Budget"
        ),
        "Pause": states.wait("Drops are committed meanwhile", seconds=PAUSE_S, next_state="Snapshot"),
        "Budget": states.invoke(context, BUDGET, next_state="Start?"),
        "Start?": states.whether("May it start?", BUDGET.path("accepted"), yes="Whose model?", no="Training refused"),
        **states.put_event(
            context,
            "Training refused",
            event=TrainingRefused,
            detail={
                **states.fields(BUDGET, "reason", "projected_usd", "monthly_usd"),
                "corrected.$": SNAPSHOT.path("corrections", "rows"),
                "labelled.$": SNAPSHOT.path("corrections", "labelled"),
            },
            comment="Tell why nothing was trained",
            next_state="Not started",
        ),
        "Not started": states.succeed("Nothing was trained and nothing was spent"),
    }


def _training(context: Context, pretrained: str) -> dict[str, State]:
    return {
        "Whose model?": states.choice(
            "Is an external model, or a version of another stage, to be judged in place of a training?",
            [
                ({"Variable": path(TrainInput, "external_model"), "IsPresent": True}, "External model"),
                ({"Variable": path(TrainInput, "pulled"), "IsPresent": True}, "Pull"),
            ],
            otherwise="Training",
        ),
        **_pull(context),
        **jobs.training(
            context,
            "Training",
            comment="Train on the pinned rows; after a spot interruption it resumes from the last checkpoint",
            result="training",
            next_state="Champion?",
            pretrained=pretrained,
            volume_gb=SNAPSHOT.path("volume_gb"),
        ),
        **_external_model(context),
        "External model archived": _archived(
            {"job.$": "$.external.job", "model_data_url.$": jobs.run_uri(context, "training", ARCHIVE)}
        ),
        "Champion?": states.choice(
            "Is there a champion to compare with?",
            [({"Variable": BUDGET.path("champion"), "IsNull": True}, "Evaluation")],
            otherwise="Evaluation beside the champion",
        ),
        # Two states of one job: an input of a job cannot be left out by a condition at run time.
        **_evaluation(context, "Measure the model on the last days, which it never saw", beside=False),
        **_evaluation(
            context, "Measure the model and the champion on the same rows, which the model never saw", beside=True
        ),
    }


def _pull(context: Context) -> dict[str, State]:
    """The copy of a version of the stage that cdk.json names; without one a run that asks for it fails."""
    if context.settings.options.pulls_from is None:
        why = f"expected stages.{context.platform.stage}.pulls_from in cdk.json, from which versions are pulled"
        return {"Pull": states.fail("No stage is declared to pull from", error="ConfigurationError", cause=why)}
    return {
        "Pull": states.invoke(context, PULLED, next_state="Pulled"),
        "Pulled": _archived({"job": "", "model_data_url.$": PULLED.path("model_data_url")}),
    }


def _archived(result: State) -> State:
    """The result of a training, of an archive that another step has made."""
    comment = "Its archive lies where that of a training would"
    return states.put(comment, "$.training", Parameters=result, next_state="Champion?")


def _external_model(context: Context) -> dict[str, State]:
    """A job that tries the graph of the external model on the pinned rows.

    It gets the digest that was named when the run started, so a changed file is noticed."""
    return jobs.processing(
        context,
        "External model",
        comment="Check the external model and make of it the archive that a training would have left",
        module="millrace.jobs.external_model",
        inputs=[
            jobs.given("external_model", path(TrainInput, "external_model", "uri")),
            jobs.given("data", jobs.run_uri(context, "manifest.json"), manifest=True),
            jobs.given("config", jobs.run_uri(context, "config", "")),
        ],
        outputs=[jobs.made("model", jobs.run_uri(context, "training"))],
        environment={"MILLRACE_EXTERNAL_DIGEST.$": path(TrainInput, "external_model", "digest")},
        minutes=EXTERNAL_MINUTES,
        volume_gb=SNAPSHOT.path("volume_gb"),
        name=states.name_of("external"),
        result="external",
        next_state="External model archived",
    )


def _evaluation(context: Context, comment: str, *, beside: bool) -> dict[str, State]:
    """The evaluation job, `beside` the champion or alone.

    It runs on the instance type that serves, so the latency that it measures is the one that counts."""
    return jobs.processing(
        context,
        "Evaluation beside the champion" if beside else "Evaluation",
        comment=comment,
        module="millrace.jobs.evaluation",
        inputs=[
            jobs.given("model", path(TrainedState, "training", "model_data_url")),
            jobs.given("data", jobs.run_uri(context, "manifest.json"), manifest=True),
            jobs.given("config", jobs.run_uri(context, "config", "")),
            *([jobs.given("champion", BUDGET.path("champion", "model_data_url"))] if beside else []),
        ],
        outputs=[
            jobs.made("evaluation", jobs.run_uri(context, "evaluation")),
            jobs.made("baseline", jobs.run_uri(context)),
        ],
        environment={
            "MILLRACE_CHAMPION_VERSION.$": BUDGET.path("champion", "version"),
            "MILLRACE_CHAMPION_DIGEST.$": BUDGET.path("champion", "model_digest"),
        }
        if beside
        else {},
        minutes=EVALUATION_MINUTES,
        volume_gb=SNAPSHOT.path("volume_gb"),
        result="evaluation",
        next_state="Gating",
    )


def _judgement(context: Context) -> dict[str, State]:
    registration = states.invoke(context, REGISTRATION, next_state="Registered")
    registration["Retry"].append(states.asker_known())
    said = {"run_name.$": "$$.Execution.Name", "reason.$": REASON, "gates.$": GATING.path("sentences")}
    return {
        "Gating": states.invoke(context, GATING, next_state="Passed?"),
        "Passed?": states.whether("Did it pass every gate?", GATING.path("passed"), yes="Registration", no="Refused"),
        **states.put_event(
            context,
            "Refused",
            event=ModelRefused,
            detail={**said, "advice.$": GATING.path("advice")},
            comment="Tell which gates refused the model",
            next_state="Not registered",
        ),
        "Not registered": states.succeed("The model did not pass; who is live stays"),
        "Registration": registration,
        **states.put_event(
            context,
            "Registered",
            event=ModelRegistered,
            detail={**states.fields(REGISTRATION, "package_arn", "version"), **said},
            comment="Tell that there is a version to release",
            next_state="Trained",
        ),
        "Trained": states.succeed("A version waits for its release"),
    }


def _reason(reason: str, comment: str) -> State:
    return states.put(comment, REASON, Result=reason, next_state="Snapshot")


def statements(context: Context) -> list[Statement]:
    """The rights of the machine itself, beside calling its functions."""
    handed = {"Training": [JOB_ROLE], "Processing": [JOB_ROLE]}
    return [
        *states.put_event_statements(context, TrainingRefused, ModelRefused, ModelRegistered),
        *sagemaker_jobs.run(context.names, handed),
    ]
