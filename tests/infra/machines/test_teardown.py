"""What the teardown machine promises, read from its definition."""

from __future__ import annotations

from millrace.infra.machines import teardown


def test_each_step_is_asked_until_it_finds_nothing(context):
    states = teardown.definition(context())["States"]
    for step, following in zip(teardown.STEPS, [*list(teardown.STEPS)[1:], "torn down"], strict=True):
        name = step.capitalize()
        assert states[name]["Parameters"]["Payload"]["step"] == step
        (nothing,) = states[f"{name} gone?"]["Choices"]
        assert nothing == {
            "Variable": f"$.{step}.answer.found",
            "NumericEquals": 0,
            "Next": following.capitalize(),
        }
        assert states[f"{name} gone?"]["Default"] == f"{name} wait"
        assert states[f"{name} wait"]["Next"] == name


def test_nothing_is_touched_before_the_input_names_the_workload(context):
    states = teardown.definition(context("prod"))["States"]
    assert states["Input"]["Next"] == "Confirmed?"
    (confirmed,) = states["Confirmed?"]["Choices"]
    assert confirmed == {"Variable": "$.confirm", "StringEquals": "millrace-prod-electricity", "Next": "Starters"}
    assert states["Defaults"]["Parameters"]["defaults"]["confirm"] == ""
    assert states[states["Confirmed?"]["Default"]]["Type"] == "Fail"


def test_nothing_starts_anew_before_anything_is_deleted(context):
    assert list(teardown.STEPS)[:2] == ["starters", "running"]


def test_a_failure_is_not_caught_so_it_can_be_redriven(context):
    assert not any("Catch" in state for state in teardown.definition(context())["States"].values())
