"""The states that start a version in a job, as its endpoint and a transform job would later start it.

    release ──> Preflights ──> Preflighted? ──(yes)──────────────────> Model, endpoints, pointers ──> score transforms
                                    └─(no)──> Preflight (a job) ──────────^
                                                  └─ writes runs/<run>/preflight/<instance type>.json

Only a release makes a version champion, and a batch transform takes the champion's model. So a version that has passed
here needs no second check. Another instance type has another memory, so a record is for a version on one type.
"""

from __future__ import annotations

from typing import Any

from millrace.evaluation.agreement import SAMPLE_FILE
from millrace.infra.context import Context
from millrace.infra.iam import sagemaker_jobs
from millrace.infra.iam.buckets import ARTEFACTS
from millrace.infra.iam.resource import Statement
from millrace.infra.machines import jobs, states
from millrace.infra.machines.calls import call
from millrace.infra.machines.endpoints import RELEASE
from millrace.infra.machines.states import State
from millrace.names import JOB_ROLE
from millrace.workload.prices import price_of
from millrace.workload.training_cost import PREFLIGHT_MINUTES

FIRST = "Preflights"
FOLDER = "preflight"
"""Folder of a run with a record for each instance type on which its version has passed."""
RECORDS = "$.preflights.records"


def preflight(context: Context, *, next_state: str) -> dict[str, State]:
    """The states of the preflight. For a version that has passed it is one list call, else one job.

    A failure of the job ends the release, with its cause."""
    return {
        FIRST: call(
            "s3:listObjectsV2",
            "Has this version passed on this instance type?",
            {
                "Bucket": context.platform.bucket("artefacts"),
                "Prefix.$": _in_run(f"{context.names.workload}/runs/{{}}/{FOLDER}/{jobs.instance(context)}.json"),
            },
            next_state="Preflighted?",
            result="preflights",
            selected={"records.$": "$.KeyCount"},
        ),
        "Preflighted?": states.choice(
            "Has it answered as it was evaluated, under the container's contract?",
            [({"Variable": RECORDS, "NumericGreaterThan": 0}, next_state)],
            otherwise="Preflight",
        ),
        **jobs.processing(
            context,
            "Preflight",
            comment="Start the version as an endpoint would, and compare its answers with those of the evaluation",
            module="millrace.jobs.preflight",
            image=RELEASE.path("image"),
            inputs=[
                jobs.given("model", RELEASE.path("model_data_url")),
                jobs.given("sample", _in_run(context.names.run_uri("{}", "evaluation", SAMPLE_FILE))),
            ],
            outputs=[jobs.made(FOLDER, _in_run(context.names.run_uri("{}", FOLDER)))],
            environment=_environment(context),
            minutes=PREFLIGHT_MINUTES,
            result="preflight",
            next_state=next_state,
        ),
    }


def _in_run(template: str) -> str:
    """An intrinsic function that fills the name of the train execution which made the version into the template."""
    return f"States.Format('{template}', {RELEASE.path('run_name')})"


def _environment(context: Context) -> dict[str, Any]:
    """The variables that CreateModel gives to the container, and those that the job needs in addition."""
    # The local cloud runs the job on this machine, so it gets the memory of the instance type as a bound.
    is_local, memory_mib = context.platform.stage == "local", price_of(jobs.instance(context)).memory_gib * 1024
    bound = {"MILLRACE_MEMORY_MB": str(memory_mib)} if is_local else {}
    return {
        "MILLRACE_MODEL_VERSION.$": RELEASE.path("version"),
        "MILLRACE_MODEL_DIGEST.$": RELEASE.path("model_digest"),
        "MILLRACE_SAMPLE_DIGEST.$": RELEASE.path("sample_digest"),
        "MILLRACE_INSTANCE": jobs.instance(context),
        **bound,
    }


def statements(context: Context) -> list[Statement]:
    """The rights that the preflight needs."""
    return [
        ARTEFACTS.find(context.names, "runs"),
        *sagemaker_jobs.run(context.names, {"Processing": [JOB_ROLE]}),
    ]
