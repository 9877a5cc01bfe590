"""Alarms, dashboards, trails, budgets, the catalogue's databases and tables, and Athena's workgroups."""

from __future__ import annotations

from localcloud.cloudformation.resources.kind import Kind, Made, Wanted, arn, by_ref, dropped
from localcloud.kernel.cloud import ACCOUNT


def _of_cloudwatch(put: str, drop: str, key: str) -> Kind:
    """A type that one call makes and alters, by its name, the property `key`."""

    def made(wanted: Wanted) -> Made:
        name = wanted.name(key, longest=255)
        wanted.call("cloudwatch", put, **{key: name}, **wanted.rest(key))
        attributes = {"Arn": arn("cloudwatch", wanted, f"alarm:{name}")} if key == "AlarmName" else {}
        return Made(ref=name, attributes=attributes)

    return Kind(put=made, drop=by_ref("cloudwatch", drop, f"{key}s"), fixed=(key,))


def _put_budget(wanted: Wanted) -> Made:
    budget = wanted.properties["Budget"]
    if wanted.before is not None:
        _drop_budget(wanted, wanted.before)
    wanted.call("budgets", "CreateBudget", AccountId=ACCOUNT, **wanted.rest("ResourceTags"))
    return Made(ref=budget["BudgetName"])


_drop_budget = by_ref("budgets", "DeleteBudget", "BudgetName", AccountId=ACCOUNT)


def _put_database(wanted: Wanted) -> Made:
    given = wanted.properties["DatabaseInput"]
    name = given.get("Name") or wanted.name("", longest=255, lower=True)
    named = {} if wanted.before is None else {"Name": name}
    wanted.settle("glue", "Database", DatabaseInput={**given, "Name": name}, **named)
    return Made(ref=name)


def _put_table(wanted: Wanted) -> Made:
    if "OpenTableFormatInput" in wanted.properties:
        raise ValueError("AWS::Glue::Table: Iceberg tables are made in code, an update here drops their metadata")
    wanted.settle("glue", "Table", **wanted.get("DatabaseName", "TableInput"))
    return Made(ref=wanted.properties["TableInput"]["Name"])


def _put_workgroup(wanted: Wanted) -> Made:
    name = wanted.properties["Name"]
    settings = wanted.rest("WorkGroupConfiguration", "RecursiveDeleteOption", "State", "Tags")
    configuration = wanted.properties.get("WorkGroupConfiguration")
    if wanted.before is None:
        wanted.call("athena", "CreateWorkGroup", Configuration=configuration, **settings, **wanted.get("Tags"))
    elif wanted.changed("WorkGroupConfiguration"):
        # An update names one member otherwise than the creation does.
        updates = dict(configuration or {})
        updates["ResultConfigurationUpdates"] = updates.pop("ResultConfiguration", {})
        wanted.call("athena", "UpdateWorkGroup", WorkGroup=name, ConfigurationUpdates=updates)
    return Made(ref=name)


def _put_trail(wanted: Wanted) -> Made:
    name = wanted.name("TrailName", longest=128)
    settings = wanted.rest("TrailName", "IsLogging", "AdvancedEventSelectors", "Tags")
    tags = {"TagsList": wanted.properties.get("Tags")} if wanted.before is None else {}
    made = wanted.settle("cloudtrail", "Trail", Name=name, **settings, **tags)
    if selectors := wanted.get("AdvancedEventSelectors"):
        wanted.call("cloudtrail", "PutEventSelectors", TrailName=name, **selectors)
    is_logging = str(wanted.properties["IsLogging"]).lower() == "true"
    wanted.call("cloudtrail", "StartLogging" if is_logging else "StopLogging", Name=name)
    return Made(ref=name, attributes={"Arn": made["TrailARN"]})


KINDS = {
    "AWS::Budgets::Budget": Kind(put=_put_budget, drop=_drop_budget, fixed=("NotificationsWithSubscribers",)),
    "AWS::CloudTrail::Trail": dropped(_put_trail, "cloudtrail:DeleteTrail", "Name", "TrailName"),
    "AWS::CloudWatch::Alarm": _of_cloudwatch("PutMetricAlarm", "DeleteAlarms", "AlarmName"),
    "AWS::CloudWatch::CompositeAlarm": _of_cloudwatch("PutCompositeAlarm", "DeleteAlarms", "AlarmName"),
    "AWS::CloudWatch::Dashboard": _of_cloudwatch("PutDashboard", "DeleteDashboards", "DashboardName"),
    "AWS::Glue::Database": dropped(_put_database, "glue:DeleteDatabase", "Name"),
    "AWS::Glue::Table": Kind(
        put=_put_table, drop=by_ref("glue", "DeleteTable", "Name", "DatabaseName"), fixed=("DatabaseName",)
    ),
    "AWS::Athena::WorkGroup": Kind(
        put=_put_workgroup,
        drop=by_ref("athena", "DeleteWorkGroup", "WorkGroup", RecursiveDeleteOption=True),
        fixed=("Name",),
    ),
}
