"""The budget function: one training at a time, within the month's money."""

from datetime import timedelta

import pytest

from millrace.state.holdings import Leases
from millrace.state.pointers import Pointers
from millrace.timestamps import format_utc, parse_utc
from tests.builders import version

AS_OF = parse_utc("1997-01-01T00:10:00Z")
PACKAGE = "arn:aws:sagemaker:eu-west-1:123456789012:model-package/millrace-local-electricity/1"
RELEASE = "arn:aws:states:eu-west-1:123456789012:execution:millrace-local-electricity-release:one"
OTHER = "arn:aws:states:eu-west-1:123456789012:execution:millrace-local-electricity-train:other"


def live(aws):
    aws.pointers.move(Pointers(champion=version("1", model_data_url="s3://b/model.tar.gz")))


def test_the_first_training_may_start(aws, load, event):
    handler = load("budget")
    answer = handler(event("budget"))
    assert (answer["accepted"], answer["reason"], answer["champion"]) == (True, None, None)
    assert handler(event("budget")) == answer, "a redrive reserves nothing twice"
    assert 0 < answer["projected_usd"] < answer["monthly_usd"]
    assert aws.leases.find("train").holder == event("budget")["execution"]
    assert float(aws.budget.spent_usd(AS_OF)) == pytest.approx(answer["projected_usd"], abs=0.01)


def test_a_second_training_at_the_same_time_is_refused_and_spends_nothing(aws, load, event):
    aws.leases.take("train", holder=OTHER, as_of=AS_OF, expires_at=AS_OF + timedelta(hours=1))
    asked = event("budget")
    assert load("budget")(asked)["reason"] == "busy"
    asked["state"]["snapshot"]["answer"]["corrections"] = {"rows": 9, "labelled": 9, "is_held": True}
    assert load("budget")(asked)["reason"] == "corrections"
    assert (aws.leases.find("train").holder, aws.budget.spent_usd(AS_OF)) == (OTHER, 0)


def test_the_lease_of_a_training_that_starts_days_after_its_time_lasts_until_it_has_ended(aws, load, event):
    """As after a redrive of `retrain`: another training would take a lease that ends by the time that counts."""
    started = AS_OF + timedelta(days=9)
    assert load("budget")(event("budget", started=format_utc(started)))["accepted"]
    assert aws.leases.find("train").expires_at > started + timedelta(hours=20)
    later = event("budget", as_of=format_utc(started + timedelta(hours=2))) | {"execution": OTHER}
    assert load("budget")(later)["reason"] == "busy"
    assert float(aws.budget.spent_usd(AS_OF)) > 0, "the month is that of the time that counts"


def test_a_month_without_money_is_refused(aws, load, event):
    aws.budget.reserve(49.95, arn=OTHER, as_of=AS_OF, monthly_usd=50)
    answer = load("budget")(event("budget"))
    assert (answer["accepted"], answer["reason"]) == (False, "budget")
    assert load("budget")(event("budget", as_of="1997-02-01T00:00:00Z"))["accepted"]


@pytest.mark.parametrize(("lease", "holder"), [("first", PACKAGE), ("release", RELEASE)])
def test_beside_the_first_release_nothing_is_trained(aws, load, event, lease, holder):
    aws.leases.take(lease, holder=holder, as_of=AS_OF, expires_at=AS_OF + timedelta(hours=1))
    answer = load("budget")(event("budget"))
    assert (answer["accepted"], answer["reason"]) == (False, "release")
    assert aws.budget.spent_usd(AS_OF) == 0
    assert load("budget")(event("budget", as_of="1997-01-01T01:10:00Z"))["accepted"], "expired"


def test_who_tidies_for_a_moment_keeps_no_training(aws, load, event):
    aws.leases.take("release", holder="sweep 0b3f", as_of=AS_OF, expires_at=AS_OF + timedelta(hours=1))
    assert load("budget")(event("budget"))["accepted"]


def test_a_version_that_goes_live_between_two_looks_is_seen(aws, load, event, monkeypatch):
    """Its release ends after the first look at the pointers and before that at its lease."""
    take = Leases.take

    def released_meanwhile(leases, *words, **named):
        live(aws)
        return take(leases, *words, **named)

    handler = load("budget")
    monkeypatch.setattr(Leases, "take", released_meanwhile)
    assert handler(event("budget"))["reason"] == "champion_exists"


def test_a_late_first_training_finds_a_champion(aws, load, event):
    live(aws)
    assert load("budget")(event("budget"))["reason"] == "champion_exists"
    assert load("budget")(event("budget", reason="command"))["reason"] == "champion_exists", "its gate is a naive rule"
    asked = event("budget", reason="alarm")
    asked["state"]["snapshot"]["answer"]["gate"] = "non_inferiority"
    retrained = load("budget")(asked)
    assert retrained["accepted"]
    assert retrained["champion"] == {"version": "1", "model_data_url": "s3://b/model.tar.gz", "model_digest": ""}
