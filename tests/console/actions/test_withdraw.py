"""Of a dropped object its key is found by the end that a person types."""

import pytest

from millrace.console.actions.withdraw import find_drop
from millrace.console.environment import Environment
from millrace.errors import WithdrawalError
from millrace.names import Platform, WorkloadNames
from tests.console.conftest import make_stores, stage_of

PLATFORM = Platform(stage="dev", account="123456789012", region="eu-west-1")
NAMES = WorkloadNames(platform=PLATFORM, workload="orders")
BUCKET = PLATFORM.bucket("landing")


@pytest.fixture
def environment(account: None) -> Environment:
    found = stage_of(PLATFORM)
    make_stores(found, "landing")
    for name in ("training/07.csv", "training/08.csv", "labels/08.csv", "scoring/week.csv"):
        found.client("s3").put_object(Bucket=BUCKET, Key=f"orders/{name}", Body=b"x")
    return found


@pytest.mark.parametrize(
    ("typed", "key"),
    [
        ("07.csv", "orders/training/07.csv"),
        ("training/08.csv", "orders/training/08.csv"),
        (f"s3://{BUCKET}/orders/labels/08.csv", "orders/labels/08.csv"),
        ("orders/training/expired.csv", "orders/training/expired.csv"),
    ],
)
def test_the_end_of_a_key_is_enough(typed: str, key: str, environment: Environment) -> None:
    assert find_drop(environment, NAMES, typed) == key


@pytest.mark.parametrize(
    ("typed", "came"),
    [
        ("08.csv", "which 2 are: orders/training/08.csv, orders/labels/08.csv"),
        ("7.csv", "which none is"),
        ("week.csv", "which none is"),
        ("training/07.csv?versionId=1", "without a version"),
    ],
)
def test_what_is_not_one_object_is_refused(typed: str, came: str, environment: Environment) -> None:
    with pytest.raises(WithdrawalError, match="--drop: expected") as error:
        find_drop(environment, NAMES, typed)
    assert came in str(error.value)
