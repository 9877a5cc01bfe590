"""After a release: the champion's and the previous version's models stay, older ones and their configurations go."""

import pytest

from millrace.functions.advance_release import tidying
from millrace.functions.advance_release.tidying import delete_old
from millrace.state.pointers import Pointers
from tests.builders import version

STRANGER = "millrace-local-electricity-v2"
"""The prefix of a workload `electricity_v2`: its models begin as ours do."""


def released(aws, number, *, prefix="", execution="5d2c7e"):
    """The name of a model as a release of the workload makes it, with the challenger's and the live configuration."""
    prefix = prefix or aws.names.prefix
    name = f"{prefix}-v{number}-{execution}-0-0"
    aws.model(name, f"{name}-chall", f"{name}-live", role=f"{prefix}-model")
    return name


def left(aws):
    """The models, and those that a configuration serves."""
    models = {one["ModelName"] for one in aws.sagemaker.list_models()["Models"]}
    configs = {one["EndpointConfigName"] for one in aws.sagemaker.list_endpoint_configs()["EndpointConfigs"]}
    return models, {name.rpartition("-")[0] for name in configs}


@pytest.fixture
def models(aws):
    """Of versions 1 to 4: 4 is the champion, 3 the previous one."""
    names = {number: released(aws, number) for number in (1, 2, 3, 4)}
    champion, previous = version(4, model_name=names[4]), version(3, model_name=names[3])
    aws.pointers.move(Pointers(champion=champion, previous=previous))
    return names


def test_what_is_older_than_the_previous_version_goes(aws, models):
    theirs = released(aws, 1, prefix=STRANGER)
    deleted = delete_old(aws.sagemaker, aws.names, aws.pointers.read())
    assert set(deleted) == {
        *(f"endpoint config {models[number]}-{kind}" for number in (1, 2) for kind in ("chall", "live")),
        *(f"model {models[number]}" for number in (1, 2)),
    }
    kept = {models[3], models[4], theirs}
    assert left(aws) == (kept, kept)
    assert delete_old(aws.sagemaker, aws.names, aws.pointers.read()) == []


def test_what_an_endpoint_serves_stays(aws, models):
    aws.sagemaker.create_endpoint(EndpointName=aws.names.endpoint, EndpointConfigName=f"{models[1]}-live")
    aws.sagemaker.create_endpoint(EndpointName=aws.names.challenger, EndpointConfigName=f"{models[2]}-chall")
    delete_old(aws.sagemaker, aws.names, aws.pointers.read())
    assert left(aws)[0] == set(models.values())
    configs = {one["EndpointConfigName"] for one in aws.sagemaker.list_endpoint_configs()["EndpointConfigs"]}
    assert {f"{models[1]}-live", f"{models[2]}-chall"} <= configs


def test_more_than_one_release_deletes_is_left_to_the_next(aws, models, monkeypatch):
    monkeypatch.setattr(tidying, "AT_MOST", 3)
    turns = 0
    while delete_old(aws.sagemaker, aws.names, aws.pointers.read()):
        turns += 1
    kept = {models[3], models[4]}
    assert (turns, left(aws)) == (2, (kept, kept)), "no configuration is left without its model"


def test_while_nothing_is_live_nothing_is_deleted(aws, models):
    aws.pointers.move(Pointers(revision=aws.pointers.read().revision))
    assert delete_old(aws.sagemaker, aws.names, aws.pointers.read()) == []
