"""The base of the stacks of a workload."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import aws_cdk as cdk
from constructs import Construct

from millrace.contract.load import load_contract
from millrace.decisions import captured
from millrace.infra.constructs.role import write_roles
from millrace.infra.constructs.tags import tag
from millrace.infra.context import context_of
from millrace.infra.settings import StageSettings
from millrace.names import WorkloadNames
from millrace.workload.declaration import Workload


class WorkloadStack(cdk.Stack):
    """One room of one workload. A subclass sets `room` and makes its resources in `build`."""

    room: ClassVar[str]
    in_network: ClassVar[bool] = False
    """Whether jobs or models of this room run in the network's subnets."""
    has_signatures: ClassVar[bool] = False
    """Whether functions of this room sign versions or verify signatures."""
    images: ClassVar[tuple[str, ...]] = ()
    """The containers that this room runs or registers."""

    def __init__(
        self, scope: Construct, *, settings: StageSettings, workload: Workload, folder: Path, tags: Mapping[str, str]
    ) -> None:
        names = WorkloadNames(platform=settings.platform, workload=workload.name)
        super().__init__(
            scope,
            names.stack(self.room),
            stack_name=names.stack(self.room),
            env=cdk.Environment(account=settings.platform.account, region=settings.platform.region),
            termination_protection=settings.is_production,
            description=f"Millrace {workload.name}: {self.room}",
        )
        self.context = context_of(
            self,
            settings=settings,
            workload=workload,
            folder=folder,
            component=self.room,
            image_tags={image: tags[image] for image in self.images},
            in_network=self.in_network,
            has_signatures=self.has_signatures,
        )
        self.build()
        write_roles(self)
        tag(self, self.context.tags)

    @property
    def kept_inputs(self) -> tuple[str, ...]:
        """The folder of images that decisions name; () if the contract has no column of them."""
        table = load_contract(self.context.folder).table("scoring")
        return (captured.FOLDER,) if captured.long_columns(table) else ()

    def build(self) -> None:
        """Make the room's resources from `self.context`."""
        raise NotImplementedError
