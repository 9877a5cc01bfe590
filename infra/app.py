"""The CDK app: the platform and every workload in one stage (`cdk deploy --all -c stage=dev`).

`-c workloads=electricity,xray` takes only these workloads."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import aws_cdk as cdk
from constructs import Construct, Node

from millrace.errors import ConfigurationError, MillraceError, WorkloadError
from millrace.infra.cdk_context import unread
from millrace.infra.images import image_tags, images, missing_digests, say_of_bases, wanted
from millrace.infra.options import options_of
from millrace.infra.published import deployed_key, without_folder
from millrace.infra.rules.assembly import read
from millrace.infra.rules.catalogue import findings
from millrace.infra.settings import StageSettings, settings_for
from millrace.infra.stacks.audit import AuditStack
from millrace.infra.stacks.catalogue import ROOMS
from millrace.infra.stacks.platform import PlatformStack
from millrace.infra.stacks.workload import WorkloadStack
from millrace.names import LONGEST_PREFIX, Platform, WorkloadNames
from millrace.spelling import one_of
from millrace.workload.chains import check_chains
from millrace.workload.declaration import Workload, check_card
from millrace.workload.load import SUITE, WHY_NOT, load_workload, overlaps, workload_folders, workloads_folder
from millrace.workload.targets import check_targets

NOT_ON_THE_LAPTOP = ("history",)
"""Rules that the stage `local` breaks on purpose: it looks every second."""


def build(settings: StageSettings, *, workloads: Sequence[Path], outdir: str | None = None) -> cdk.App:
    """The app with the stacks of the platform and the audit, and the rooms of each of the given folders of workloads.

    The platform and the audit are the same whichever workloads are given: they are made for all folders that exist."""
    # With traces, the command line would begin each warning with a place in the CDK's own program.
    context = {"aws:cdk:disable-asset-staging": True, "aws:cdk:disable-stack-trace": True}
    # The CDK's validation takes half of the time and warns of nothing that cfn-lint does not find in the tests.
    app = cdk.App(outdir=outdir, context=context, analytics_reporting=False, builtin_cloud_formation_validation=False)
    add_stacks(app, settings, workloads)
    return app


class Millrace(Construct):
    """The stacks of a stage as a part of another CDK app, which names stage, account and region as it likes.

    `workloads` are names of folders in ./workloads, or where MILLRACE_WORKLOADS says; none means all. `options` are
    those of the stage, as cdk.json has them below `stages`. Raises a MillraceError for what no stage can be."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        stage: str,
        account: str,
        region: str,
        workloads: Sequence[str] = (),
        options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(scope, construct_id)
        _check_place(account, region)
        settings = settings_for(
            stage, account=account, region=region, options=options_of({stage: options or {}}, stage)
        )
        add_stacks(self, settings, chosen(workload_folders(workloads_folder()), ",".join(workloads)))


def add_stacks(scope: Construct, settings: StageSettings, workloads: Sequence[Path]) -> None:
    """Make the stacks of the platform, of the audit, and of each of these folders of workloads."""
    folders = {folder.name: folder for folder in [*workload_folders(workloads_folder()), *workloads]}
    every = {name: load_workload(folder) for name, folder in folders.items()}
    loaded = [(folder, every[folder.name]) for folder in workloads]
    _check_names(sorted(every))
    check_partners(settings, sorted(every))
    check_stage(settings, [workload for _, workload in loaded])
    check_chains(settings.platform.stage, loaded)
    check_cards(settings.platform, [workload for _, workload in loaded])
    for folder, workload in loaded:
        if workload.policy:
            workload.policy.review.read_guideline(folder)
    tags = image_tags(SUITE, settings.platform, wanted(settings.options))
    # The stack is the same whichever of the workloads are deployed with it.
    hosts = any(workload.rollout.has_no_endpoint for workload in every.values())
    platform = PlatformStack(scope, settings=settings, workloads=sorted(every), hosts=hosts)
    audit = AuditStack(scope, settings=settings)
    audit.add_stack_dependency(platform)
    # Stacks read each other's ARNs from SSM, so CloudFormation does not see their order: the dependencies declare it.
    for folder, workload in loaded:
        for room in ROOMS:
            stack = room(scope, settings=settings, workload=workload, folder=folder, tags=tags)
            stack.add_stack_dependency(platform)
            # Made before the first record, and destroyed after the last.
            stack.add_stack_dependency(audit)


def _check_names(workloads: Sequence[str]) -> None:
    """Raise ConfigurationError if a name begins with another name and an underscore, as `cold_2` does with `cold`."""
    for name in workloads:
        for other in overlaps(name, workloads):
            if name.startswith(other):
                raise ConfigurationError(
                    where=f"workloads/{name}",
                    field="name",
                    expected=f"a name that does not begin with {other}_, the name of another workload: {WHY_NOT}",
                    came=name,
                )


def check_stage(settings: StageSettings, workloads: Sequence[Workload]) -> None:
    """Raise WorkloadError if a workload has no instance for the stage, jobs that nobody can leave or a target that it
    may not have, or if the two names together are too long."""
    platform = settings.platform
    for workload in workloads:
        where, prefix = f"workloads/{workload.name}", WorkloadNames(platform=platform, workload=workload.name).prefix
        for field, instances in (("training", workload.training.instance), ("rollout", workload.rollout.instance)):
            if platform.stage not in instances:
                expected = f"an instance for the stage {platform.stage}"
                raise WorkloadError(where=where, field=f"{field}.instance", expected=expected, came=sorted(instances))
        if workload.jobs and settings.options.api is None:
            expected = f"the option `api` of the stage {platform.stage}: callers leave jobs by the REST API alone"
            raise WorkloadError(where=where, field="jobs", expected=expected, came="a stage without it")
        check_targets(platform, workload, settings.targets)
        # An account refuses roles with longer names. The stage `local` is in no account.
        if platform.stage != "local" and len(prefix) > LONGEST_PREFIX:
            expected = f"a name that makes {LONGEST_PREFIX} letters at most with the stage's: {prefix}"
            raise WorkloadError(where=where, field="name", expected=expected, came=len(prefix))


def check_partners(settings: StageSettings, workloads: Sequence[str]) -> None:
    """Raise ConfigurationError if another account may reach what the stage does not have."""
    options = settings.options
    for account, partner in options.partners.items():
        where = f"stages.{settings.platform.stage}.partners.{account}"
        for field, named in (("drops", [place.partition("/")[0] for place in partner.drops]), ("calls", partner.calls)):
            for name in named:
                if name not in workloads:
                    expected = one_of(name, workloads)
                    raise ConfigurationError(where="context", field=f"{where}.{field}", expected=expected, came=name)
        if partner.calls and options.api is None:
            expected = "the option `api` of the stage: other accounts call by the REST API"
            raise ConfigurationError(where="context", field=f"{where}.calls", expected=expected, came="a stage without")
        if account == settings.platform.account:
            expected = "another account: roles of the stage's own need no more than their own policies"
            raise ConfigurationError(where="context", field=where, expected=expected, came=account)


def check_cards(platform: Platform, workloads: Sequence[Workload]) -> None:
    """Raise WorkloadError if versions of the stage cannot have a model card; it names all files that lack the field."""
    lacking: list[WorkloadError] = []
    for workload in workloads:
        try:
            check_card(workload, platform.stage)
        except WorkloadError as error:
            lacking.append(error)
    if lacking:
        first = lacking[0]
        where = ", ".join(error.where for error in lacking if error.field == first.field)
        raise WorkloadError(where=where, field=first.field, expected=first.expected, came=first.came)


def chosen(folders: Sequence[Path], names: object) -> list[Path]:
    """The folders that `names` lists, separated by commas; all folders if it lists none.

    Raises ConfigurationError if a name is no folder."""
    known = {folder.name: folder for folder in folders}
    if not isinstance(names, str):
        expected = "names of workloads as one text, separated by commas"
        raise ConfigurationError(where="context", field="workloads", expected=expected, came=names)
    wanted = [name.strip() for name in names.split(",")] if names else list(known)
    for name in wanted:
        if name not in known:
            expected = f"names of workloads, separated by commas, of {', '.join(known)}"
            raise ConfigurationError(where="context", field="workloads", expected=expected, came=name)
    return [known[name] for name in dict.fromkeys(wanted)]


def listed(context: Node) -> list[Path]:
    """The folders of the workloads that the context lists; all without a list."""
    return chosen(workload_folders(workloads_folder()), context.try_get_context("workloads") or "")


def refuse_missing_images(app: cdk.App, settings: StageSettings) -> None:
    """Add an error to each stack that runs an image without a digest in the account.

    The CDK's command line stops at such an error before it touches a stack, so no stage is left half deployed. Without
    the error CloudFormation would refuse that stack. The platform's stack gets none, since it makes the repositories
    to which the images are pushed."""
    stage = settings.platform.stage
    missing = missing_digests(settings.platform, image_tags(SUITE, settings.platform, wanted(settings.options)))
    for stack in app.node.children:
        for image in stack.images if isinstance(stack, WorkloadStack) else ():
            if image in missing:
                cdk.Annotations.of(stack).add_error(
                    f"image {image}: expected its digest in the SSM parameter {missing[image]}, got none; "
                    f"`make images STAGE={stage}` writes it"
                )


def refuse_another_key(app: cdk.App, settings: StageSettings) -> None:
    """Add an error to the platform's stack if the stage is deployed under one key and names another."""
    wanted = settings.options.key_arn
    deployed = deployed_key(settings.platform) if wanted else None
    # `children[0]` is the stack that `build` makes first: the platform's.
    if deployed not in (None, wanted):
        cdk.Annotations.of(app.node.children[0]).add_error(
            f"stages.{settings.platform.stage}.key_arn: expected {deployed}, under which the stage was made, got "
            f"{wanted}; repositories keep their key, so another one is for another stage"
        )


def check_bases(app: cdk.App, settings: StageSettings) -> None:
    """Name the base images that no digest pins, if there are any: an error in a stage like `prod`, else a warning.

    With `-c bases=unpinned` it is a warning in every stage, for templates that nobody deploys."""
    if said := say_of_bases(SUITE, images(SUITE, settings.platform, wanted(settings.options))):
        annotations = cdk.Annotations.of(app.node.children[0])
        if settings.is_production and app.node.try_get_context("bases") != "unpinned":
            annotations.add_error(said)
        else:
            annotations.add_warning_v2("millrace:unpinned", said)


def warnings(settings: StageSettings, context: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What the owner of the stage should know though it is synthesized: each with an id and the remedy."""
    stage = settings.platform.stage
    yield from ((f"unread-{name}", sentence) for name, sentence in unread(context).items())
    if stage == "local":
        return
    if settings.compiler is None:
        yield (
            "uncompiled",
            f"functions are not compiled, so a cold start takes about 1.6 times its CPU time: expected "
            f"python{settings.python} on the PATH, or `uv python install {settings.python}`",
        )
    if not settings.alarm_email and not settings.options.alarm_webhook:
        yield (
            "unheard",
            f"nobody is sent the alarms of {stage} nor a run that failed: expected alarm_email or alarm_webhook below "
            f'stages.{stage} in the context of cdk.json, as "alarm_email": "<address>", or a subscription of your own '
            f"to the topic {settings.platform.alarm_topic}",
        )
    if _is_callers(settings):
        gone = without_folder(settings.platform, workloads_folder())
        yield from ((f"folder-gone-{number}", sentence) for number, sentence in enumerate(gone))


def _is_callers(settings: StageSettings) -> bool:
    """Whether the credentials are of the stage's account. Without them nothing can be looked up there.

    The CDK's command line sets CDK_DEFAULT_ACCOUNT to the account of its credentials."""
    return settings.platform.account == os.environ.get("CDK_DEFAULT_ACCOUNT")


def main() -> None:
    """Synthesize. An error is one line on stderr, and the exit status is 1.

    A workload that cannot be read stops all workloads, unless `-c workloads=…` leaves it out; the line says so."""
    try:
        synthesize()
    except WorkloadError as error:
        context = cdk.App().node
        names, stage = [folder.name for folder in listed(context)], context.try_get_context("stage") or "local"
        sys.exit(f"{error}{without(error, names, stage)}")
    except MillraceError as error:
        sys.exit(str(error))


def without(error: ConfigurationError, names: Sequence[str], stage: str) -> str:
    """How to deploy the other ones of these workloads, as the end of the error's line.

    "" if the error names no workload of them, or all."""
    others = [name for name in names if name not in re.split("[/, ]", error.where)]
    if not others or len(others) == len(names):
        return ""
    chosen_names = ",".join(others)
    up = f"`millrace up {' '.join(f'--workload {name}' for name in others)}`, " if stage == "local" else ""
    out = "it" if len(names) == len(others) + 1 else "them"
    return f": {up}`cdk … -c workloads={chosen_names}` or `make synth WORKLOADS={chosen_names}` leaves {out} out"


def _check_place(account: object, region: object) -> None:
    """Raise ConfigurationError if the account or the region is not written as one.

    Whether there is such a region is checked later, by AWS's images (see `aws_images`)."""
    for field, value, pattern, expected in (
        ("account", account, "[0-9]{12}", "a text of 12 digits"),
        ("region", region, "[a-z]+(-[a-z]+)+-[0-9]+", "a region such as eu-west-1"),
    ):
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise ConfigurationError(where="context", field=field, expected=expected, came=value)


def settings_of(context: Node) -> StageSettings:
    """The settings of the stage that the context names.

    Account and region come from the context, else from the environment of the CDK's command line. Raises
    ConfigurationError without them, and for an impossible value in the context."""
    stage = context.try_get_context("stage") or "local"
    account = context.try_get_context("account") or os.environ.get("CDK_DEFAULT_ACCOUNT")
    region = context.try_get_context("region") or os.environ.get("CDK_DEFAULT_REGION")
    if not account or not region:
        raise ConfigurationError(
            where="context",
            field="account, region",
            expected="credentials of the target account, or -c account=… -c region=…",
            came=(account, region),
        )
    _check_place(account, region)
    return settings_for(
        stage,
        account=account,
        region=region,
        options=options_of(context.try_get_context("stages"), stage),
    )


def synthesize() -> None:
    """Synthesize the stage that the context names, with the workloads that it lists (all without a list)."""
    # A first app only reads the context. `build` makes the app with the stacks.
    context = cdk.App().node
    settings = settings_of(context)
    app = build(settings, workloads=listed(context))
    for name, sentence in warnings(settings, context.get_all_context()):
        cdk.Annotations.of(app.node.children[0]).add_warning_v2(f"millrace:{name}", sentence)
    is_deployed = settings.platform.stage != "local"
    if is_deployed:
        check_bases(app, settings)
    if is_deployed and _is_callers(settings):
        refuse_missing_images(app, settings)
        refuse_another_key(app, settings)
    check_rules(Path(app.synth().directory), is_deployed=is_deployed)


def check_rules(assembly: Path, *, is_deployed: bool) -> None:
    """Check the templates by `millrace.infra.rules`, which has what no public pack checks.

    Prints each place that breaks a rule on stderr, and raises ConfigurationError if there is one."""
    if broken := findings(read(assembly), but=() if is_deployed else NOT_ON_THE_LAPTOP):
        print(*broken, sep="\n", file=sys.stderr)
        raise ConfigurationError(where="templates", field="rules", expected="0 findings", came=len(broken))


if __name__ == "__main__":
    main()
