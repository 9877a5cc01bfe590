"""What every machine's definition is checked for when it is built."""

import pytest

from millrace.infra.machines import states


def test_a_state_without_a_comment_is_refused():
    with pytest.raises(ValueError, match="Comment in every state"):
        states.machine("m", start="A", states={"A": {"Type": "Succeed"}}, timeout_s=1)


@pytest.mark.parametrize(
    "value", [{"ResultPath": None}, {"Catch": [{"ResultPath": None}]}, {"Parameters": {"a": [None]}}]
)
def test_a_null_is_refused_for_it_would_be_left_out(value):
    with pytest.raises(ValueError, match="got null in"):
        states.machine("m", start="A", states={"A": {"Type": "Pass", "Comment": "c", **value}}, timeout_s=1)


def test_a_whole_definition_is_taken():
    made = states.machine("m", start="A", states={"A": states.succeed("done")}, timeout_s=7)
    assert made == {
        "Comment": "m",
        "StartAt": "A",
        "TimeoutSeconds": 7,
        "States": {"A": {"Type": "Succeed", "Comment": "done"}},
    }
