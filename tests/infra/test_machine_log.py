"""What state machines log: by stage, and by the owner's choice."""

from __future__ import annotations

from pathlib import Path

from millrace.infra.rules.assembly import read


def logged(assembly: Path) -> set[tuple[str, bool]]:
    return {
        (settings["Level"], settings["IncludeExecutionData"])
        for stack in read(assembly)
        for machine in stack.resources("AWS::StepFunctions::StateMachine")
        for settings in [machine.properties["LoggingConfiguration"]]
    }


def test_prod_logs_no_data(assemblies: dict[str, Path]) -> None:
    assert logged(assemblies["prod"]) == {("ALL", False)}
    assert logged(assemblies["dev"]) == {("ALL", True)}


def test_the_log_groups_of_endpoints_end_and_are_encrypted(assemblies: dict[str, Path]) -> None:
    groups = {
        one.properties["LogGroupName"]: one.properties
        for stack in read(assemblies["prod"])
        for one in stack.resources("AWS::Logs::LogGroup")
    }
    for endpoint in ("millrace-prod-electricity", "millrace-prod-electricity-challenger"):
        assert groups[f"/aws/sagemaker/Endpoints/{endpoint}"]["RetentionInDays"] == 365
    assert all("KmsKeyId" in properties and "RetentionInDays" in properties for properties in groups.values())
