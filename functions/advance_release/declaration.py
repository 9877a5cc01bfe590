"""How the function `advance_release` is deployed."""

from millrace.settings.declaration import Declared, Right

DECLARED = Declared(
    room="release",
    role="release",
    description="Move the release pointers, mark the package",
    rights=lambda _: [
        Right("state_table.own_items", may="GetItem PutItem"),
        Right("state_table.append_audit"),
        Right("registry.versions", may="DescribeModelPackage UpdateModelPackage"),
        Right("sagemaker_endpoints.live", may="DescribeEndpoint"),
        Right("alarms.read_metrics"),
        Right("step_functions.askers", "release"),
    ],
)
