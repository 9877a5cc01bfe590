"""How the function `advance_release` is deployed."""

from millrace.settings.declaration import Declared, Grant

DECLARED = Declared(
    room="release",
    role="release",
    rights=lambda _: [
        Grant("state_table.own_items", may="GetItem PutItem"),
        Grant("state_table.append_audit"),
        Grant("registry.versions", may="DescribeModelPackage UpdateModelPackage"),
        Grant("sagemaker_endpoints.live", may="DescribeEndpoint"),
        Grant("alarms.read_metrics"),
        Grant("step_functions.askers", "release"),
    ],
)
