"""The CDK app of the stack `millrace-<stage>-deployer`, which the pipelines do not deploy, unlike the stage's others.

    cdk deploy --app "python -m millrace.infra.deployer" -c stage=dev

An administrator deploys it: at first, and whenever the templates get a new type of resource."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import aws_cdk as cdk

from millrace.errors import ConfigurationError, MillraceError
from millrace.infra.app import build, settings_of
from millrace.infra.aws_images import training_base
from millrace.infra.deployer.stack import DeployerStack
from millrace.infra.images import SERVING
from millrace.infra.options import GitHub
from millrace.infra.rules.assembly import Stack, read
from millrace.infra.settings import StageSettings
from millrace.workload.load import SUITE, workload_folders, workloads_folder


def deployer(settings: StageSettings, stacks: list[Stack], *, outdir: str | None = None) -> cdk.App:
    """The app with the deployer's stack of a stage. `stacks` are the stacks that the pipelines deploy.

    Raises ConfigurationError if the stage names no repository."""
    stage, github = settings.platform.stage, github_of(settings)
    app = cdk.App(outdir=outdir, analytics_reporting=False)
    # A pipeline of the stage also looks up the base images of `dev` and `prod`: `make bases` covers both.
    bases = sorted({training_base(SUITE, one, settings.platform.region) for one in {stage, "dev", "prod"}})
    # `make images` copies the image that serves pulled versions.
    if source := settings.options.pulls_from:
        bases.append(source.platform(settings.platform.region).repository_uri(SERVING))
    DeployerStack(app, settings=settings, github=github, stacks=stacks, bases=bases)
    return app


def github_of(settings: StageSettings) -> GitHub:
    """The repository that may deploy the stage. Raises ConfigurationError if the stage names none."""
    if settings.options.github is None:
        field = f"stages.{settings.platform.stage}.github"
        expected = 'a repository of GitHub: {"repository": "<owner>/<name>"}'
        raise ConfigurationError(where="context", field=field, expected=expected, came=None)
    return settings.options.github


def stage_templates(settings: StageSettings) -> list[Stack]:
    """The templates of the platform, the audit and every workload."""
    with tempfile.TemporaryDirectory() as folder:
        build(settings, workloads=workload_folders(workloads_folder()), outdir=folder).synth()
        return read(Path(folder))


def main() -> None:
    """Synthesize the deployer's stack of the stage that the context names."""
    try:
        settings = settings_of(cdk.App().node)
        github_of(settings)  # before the templates are made, which takes a while
        deployer(settings, stage_templates(settings)).synth()
    except MillraceError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
