"""The machine `release`: a challenger that answers real rows, then the live endpoint, then the release pointers.

    Start release ─> Preflight ─> challenger, Smoke test ─> phases ─> live endpoint, scaling ─> Advance release
        └─ one release at a time       └─ no traffic          │           └─ alarms watch it
                                                              └─ those that watch it, if declared (`watching`)

Endpoints and their scaling are made here and not in a stack. A variant must exist before it can be scaled, and a model
before an endpoint.
"""

from __future__ import annotations

from millrace.errors import EndpointChangingError
from millrace.infra.context import Context
from millrace.infra.iam import alarms, key, sagemaker_endpoints, sagemaker_jobs
from millrace.infra.iam.resource import Statement
from millrace.infra.machines import endpoints, jobs, preflight, release_alarms, scaling, states, watching
from millrace.infra.machines.endpoints import RELEASE
from millrace.infra.machines.paths import Result, path
from millrace.infra.machines.states import Definition, State
from millrace.messages.events import ApprovalWanted, ModelReleased, ReleaseRefused
from millrace.messages.release import ReleaseAdvanced, SmokeTested, UpdateState
from millrace.names import MODEL_ROLE

SMOKE_TEST = Result(
    "smoke_test",
    SmokeTested,
    "No traffic for a version that has not answered real rows as its evaluation did",
)
ADVANCE = Result(
    "advance_release",
    ReleaseAdvanced,
    "The version becomes champion by compare-and-set; models that neither an endpoint nor a rollback needs go",
)
RESTORES = "$.rollback.restores"
RESTORED = {"And": [{"Variable": RESTORES, "IsPresent": True}, states.is_true(RESTORES)]}
TIMEOUT_S = 75 * 24 * 3600
"""The longest release, with the releases before it for which it waits: five weeks of a shadow each."""
TURN_POLLS_S = 7200
"""Seconds between two looks whether it is this release's turn. So many weeks of them stay below 25,000 events."""
CHANGE_S = 8 * 3600
"""The longest update that SageMaker allows, in seconds, MaximumExecutionTimeoutInSeconds:
https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_BlueGreenUpdatePolicy.html"""
CHANGE_POLLS_S = 120
"""Seconds between two looks whether the change of an endpoint has ended."""


def definition(context: Context) -> Definition:
    """The definition. Input: `cause`, `as_of`, `detail.package_arn`; `rollout.phases` only repeats the workload's own.

    For a rollback the input is `{"rollback": {"reason": …, "who": …, "to": …}}`. `to` is the number of the version,
    without it the previous one. `who` is an identity, without it `console`."""
    hosted = context.workload.rollout.has_no_endpoint
    ready = "Advance release" if hosted else "Live config"
    return states.machine(
        f"Release a version of {context.workload.name}: challenger, live, pointers",
        start="Defaults",
        timeout_s=TIMEOUT_S,
        states={
            **_start_release(context),
            **preflight.preflight(context, next_state="Model"),
            **({} if hosted else _challenger(context)),
            **_smoke_test(context, next_state=watching.first(context, next_state=ready)),
            **watching.phases(context, next_state=ready, stopped="Release refused"),
            **({} if hosted else _live(context) | _update(context) | _scaling(context)),
            **_advance_release(context),
            **watching.warm(context, next_state="Live"),
        },
    )


def _start_release(context: Context) -> dict[str, State]:
    rollout = {"phases": list(context.workload.rollout.phases)}
    outcome, hosted = RELEASE.path("outcome"), context.workload.rollout.has_no_endpoint
    start = states.invoke(context, RELEASE, next_state="Open?")
    # `start_release` raises EndpointChangingError while an endpoint changes, and is called again for up to CHANGE_S.
    start["Retry"].append(
        states.look_again(
            EndpointChangingError,
            interval_s=endpoints.pause_s(context, CHANGE_POLLS_S),
            attempts=CHANGE_S // CHANGE_POLLS_S,
        )
    )
    return {
        **states.defaults("Start release", rollout=rollout),
        "Start release": start,
        "Open?": states.choice(
            "Is it this release's turn?",
            [
                (states.equals(outcome, "open"), preflight.FIRST),
                (states.equals(outcome, "done"), "Nothing to do" if hosted else "Restored?"),
                (states.equals(outcome, "unapproved"), "Approval wanted"),
                (states.equals(outcome, "behind"), "A version climbs"),
                (states.equals(outcome, "outdated"), "Release refused"),
                (states.equals(outcome, "refused"), "Release refused"),
            ],
            otherwise="Its turn comes",
        ),
        "Its turn comes": states.wait(
            "Another release runs, for minutes or hours",
            seconds=endpoints.pause_s(context, TURN_POLLS_S),
            next_state="Start release",
        ),
        "A version climbs": states.wait(
            "Another version answers copies, for weeks", seconds=TURN_POLLS_S, next_state="Start release"
        ),
        "Nothing to do": states.succeed("This version or a newer one is live already"),
        **states.put_event(
            context,
            "Approval wanted",
            event=ApprovalWanted,
            detail=states.fields(RELEASE, "package_arn", "version", "approval_hours"),
            comment="Tell that a person has to approve the version, or to refuse it",
            next_state="Not approved yet",
        ),
        "Not approved yet": states.succeed("Another execution goes on once a person has decided"),
        **states.put_event(
            context,
            "Release refused",
            event=ReleaseRefused,
            detail=states.fields(RELEASE, "package_arn", "version", "previous_version", "refusal"),
            comment="Tell that people or labels have refused it, or that it was compared with another live version",
            next_state="Not released",
        ),
        "Not released": states.succeed("Refused, with the reason; the live version is unchanged"),
    }


def _challenger(context: Context) -> dict[str, State]:
    name = context.names.challenger
    return {
        "Challenger config": endpoints.config(
            context, instances=1, result="challenger_config", next_state="Challenger stands?"
        ),
        "Challenger stands?": states.whether(
            "Did an earlier release leave a challenger?",
            RELEASE.path("has_challenger"),
            yes="Update challenger",
            no="Create challenger",
        ),
        "Create challenger": endpoints.create(
            context,
            name,
            config="challenger_config",
            comment="An endpoint without traffic",
            next_state="Challenger wait",
        ),
        "Update challenger": endpoints.update(
            name, config="challenger_config", comment="Take over the endpoint that exists", next_state="Challenger wait"
        ),
        **endpoints.until_in_service(
            context,
            name,
            prefix="Challenger",
            config="challenger_config",
            ready="Smoke test",
            failed="Challenger failed",
        ),
        "Challenger failed": states.fail(
            "The challenger does not start", error="ChallengerFailed", cause="see FailureReason of the endpoint"
        ),
    }


def _smoke_test(context: Context, *, next_state: str) -> dict[str, State]:
    asked = "Smoke test" if context.workload.rollout.has_no_endpoint else "Challenger config"
    return {
        "Model": endpoints.model(context, role_arn=context.names.role_arn(MODEL_ROLE), next_state=asked),
        "Smoke test": states.invoke(context, SMOKE_TEST, next_state="Answered?"),
        "Answered?": states.whether(
            "Were the answers right?", SMOKE_TEST.path("passed"), yes=next_state, no="Smoke test failed"
        ),
        "Smoke test failed": states.fail(
            "The challenger answers something else than what was evaluated",
            error="SmokeTestFailed",
            cause="the smoke test's sentence is in its answer",
        ),
    }


def _live(context: Context) -> dict[str, State]:
    name = context.names.endpoint
    # If there is a live endpoint, `Live stands?` goes on in `_update`, and the update comes back to `Live wait`.
    return {
        "Live config": endpoints.config(
            context, instances=context.least_instances, result="live_config", next_state="Live stands?", kind="live"
        ),
        "Live stands?": states.whether(
            "Is there a live endpoint to update?", RELEASE.path("has_live"), yes="Live fleet", no="Create live"
        ),
        "Create live": endpoints.create(
            context,
            name,
            config="live_config",
            comment="None serves: the first version, or one whose endpoint is gone",
            next_state="Live wait",
        ),
        **endpoints.until_in_service(
            context, name, prefix="Live", config="live_config", ready="Scalable target", failed="Rolled back"
        ),
        "Rolled back": states.fail(
            "The live endpoint did not take the version; the version before serves on",
            error="RolledBack",
            cause="an alarm of the release, or FailureReason of the endpoint",
        ),
    }


def _update(context: Context) -> dict[str, State]:
    """The states that update the live endpoint. Since it was made, the declaration may have changed in two ways:

    - Another instance type: SageMaker refuses it for a variant that is scaled, so scaling stops before the update and
      starts after it. https://docs.aws.amazon.com/sagemaker/latest/dg/endpoint-scaling-update.html
    - More instances at least: the count that scaling has set is kept, unless it is below the declared one. A step is
      at most half of a fleet."""
    name = context.names.endpoint
    # First the live fleet is read, once it does not change. Then scaling stops if it must, and the count is chosen.
    # Last come the alarms and the update itself.
    another = {"Not": states.equals(path(UpdateState, "live_config_now", "instance"), jobs.instance(context))}
    count = path(UpdateState, "live_fleet", "instances")
    return {
        "Live fleet": endpoints.fleet(name, result="live_fleet", next_state="Does it change?"),
        "Does it change?": states.choice(
            "While its scaling adds or takes instances SageMaker refuses an update",
            [(endpoints.is_changing(path(UpdateState, "live_fleet", "status")), "Its change ends")],
            otherwise="Live fleet's config",
        ),
        "Its change ends": states.wait(
            "A change takes minutes", seconds=endpoints.pause_s(context, CHANGE_POLLS_S), next_state="Live fleet"
        ),
        "Live fleet's config": endpoints.instance_type(
            config=path(UpdateState, "live_fleet", "config"), result="live_config_now", next_state="Another instance?"
        ),
        "Another instance?": states.choice(
            "Does the version need another instance type than the live fleet has?",
            [(another, "Stop scaling")],
            otherwise="Too few?",
        ),
        "Stop scaling": scaling.deregister(context, next_state="Too few?"),
        "Too few?": states.choice(
            "Has the live fleet fewer instances than are declared?",
            [({"Variable": count, "NumericLessThan": context.least_instances}, "Declared count")],
            otherwise="Present count",
        ),
        "Declared count": endpoints.take_from_config("DesiredInstanceCount", next_state="Alarm on errors"),
        "Present count": endpoints.take_from_config(next_state="Alarm on errors"),
        "Alarm on errors": release_alarms.on_errors(context, next_state="Alarm on latency"),
        "Alarm on latency": release_alarms.on_latency(context, next_state="Update live"),
        "Update live": endpoints.update(
            name,
            config="live_config",
            comment="A new fleet takes all traffic; an alarm while it is watched brings the old one back",
            deployment=endpoints.blue_green(context),
            next_state="Live wait",
        ),
    }


def _scaling(context: Context) -> dict[str, State]:
    # A restored version comes here as well: its endpoint serves, and the pointers need not move.
    return {
        "Restored?": states.choice(
            "Was the live version to be restored? Then its scaling is put anew",
            [(RESTORED, "Scalable target")],
            otherwise="Nothing to do",
        ),
        "Scalable target": scaling.register(context, next_state="Scaling policy"),
        "Scaling policy": scaling.put_policy(context, next_state="Live before?"),
        "Live before?": states.choice(
            "Do the pointers name the version already, which is merely restored?",
            [(states.equals(RELEASE.path("outcome"), "done"), "Live")],
            otherwise="Advance release",
        ),
    }


def _advance_release(context: Context) -> dict[str, State]:
    # From the pointers on, the version counts as live: only a rollback may undo it. A challenger that is about to serve
    # the version before stays.
    is_kept = {
        "Does the version before stay warm?": states.whether(
            "Is the challenger's endpoint needed for it?", watching.HAS_WARM, yes="Updated?", no="Delete challenger"
        )
    }
    keeps, hosted = context.workload.rollout.warm_hours > 0, context.workload.rollout.has_no_endpoint
    asks = keeps and not hosted
    is_over = {
        "Updated?": states.whether(
            "Were there alarms of this release?", RELEASE.path("has_live"), yes="Delete alarms", no="Released"
        ),
        "Delete alarms": release_alarms.delete(next_state="Released"),
    }
    # The workload may have had an endpoint before its function ran versions.
    is_left = {
        "Stop scaling": scaling.deregister(context, next_state="Delete live endpoint"),
        "Delete live endpoint": endpoints.delete(
            context.names.endpoint, comment="The function answers in its place", next_state="Released"
        ),
    }
    return {
        **(is_kept if asks else {}),
        "Advance release": states.invoke(
            context, ADVANCE, next_state=next(iter(is_kept)) if asks else "Delete challenger"
        ),
        "Delete challenger": endpoints.delete(
            context.names.challenger,
            comment="It has answered; it costs by the hour",
            next_state=next(iter(is_left if hosted else is_over)),
        ),
        **(is_left if hosted else is_over),
        **states.put_event(
            context,
            "Released",
            event=ModelReleased,
            detail=states.fields(RELEASE, "package_arn", "version", "previous_version")
            | states.fields(ADVANCE, "watched_requests"),
            comment="Tell who is live",
            next_state="Is one warm?" if keeps else "Live",
        ),
        "Live": states.succeed("The version is live"),
    }


def statements(context: Context) -> list[Statement]:
    """The rights of the machine itself, beside calling its functions."""
    names = context.names
    challenger, both = sagemaker_endpoints.challenger(names), sagemaker_endpoints.both(names)
    configs = sagemaker_endpoints.configs(names)
    seen = "SageMaker and Auto Scaling look at all alarms before they take one"
    scaled = alarms.of_releases(names) + alarms.of_scaling(names)
    always = [
        *states.put_event_statements(context, ApprovalWanted, ReleaseRefused, ModelReleased),
        sagemaker_endpoints.models(names).may("CreateModel", "AddTags"),
        sagemaker_jobs.pass_roles(names, MODEL_ROLE),
        *preflight.statements(context),
        *watching.statements(context),
    ]
    if context.workload.rollout.has_no_endpoint:
        return [
            *always,
            both.may("DeleteEndpoint"),
            sagemaker_endpoints.scalable_targets(names).may("DeregisterScalableTarget"),
            scaled.may("DeleteAlarms"),
        ]
    return [
        *always,
        configs.may("CreateEndpointConfig"),
        (both + configs).may("AddTags", "CreateEndpoint", "UpdateEndpoint"),
        both.may("DescribeEndpoint"),
        challenger.may("DeleteEndpoint"),
        key.lend(context.key_arn),
        scaled.may("PutMetricAlarm", "DeleteAlarms"),
        alarms.describe(because=seen),
        *sagemaker_endpoints.scale(names),
    ]
