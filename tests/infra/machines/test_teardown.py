"""What the teardown machine promises, read from its definition."""

from millrace.infra.machines import teardown


def test_nothing_is_touched_before_the_input_names_the_workload(context):
    states = teardown.definition(context("prod"))["States"]
    assert states["Input"]["Next"] == "Confirmed?"
    (confirmed,) = states["Confirmed?"]["Choices"]
    assert confirmed == {"Variable": "$.confirm", "StringEquals": "millrace-prod-electricity", "Next": "Starters"}
    assert states["Defaults"]["Parameters"]["defaults"]["confirm"] == ""
    assert states[states["Confirmed?"]["Default"]]["Type"] == "Fail"
