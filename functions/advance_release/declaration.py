"""How the function `advance_release` is deployed."""

from millrace.messages.events import ReleaseUntidy
from millrace.settings.declaration import Declared, Grant

DECLARED = Declared(
    room="release",
    role="release",
    timeout_s=300,
    rights=lambda _: [
        Grant("state_table.own_items", may="GetItem PutItem"),
        Grant("state_table.append_audit"),
        Grant("registry.versions", may="DescribeModelPackage UpdateModelPackage"),
        Grant("sagemaker_endpoints.list_released"),
        Grant("sagemaker_endpoints.both", may="DescribeEndpoint"),
        Grant("sagemaker_endpoints.configs", may="DeleteEndpointConfig"),
        Grant("sagemaker_endpoints.models", may="DeleteModel"),
        Grant("bus.put_events", ReleaseUntidy),
        Grant("alarms.read_metrics"),
        Grant("step_functions.askers", "release"),
    ],
)
