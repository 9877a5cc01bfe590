"""How the function `tidy_release` is deployed."""

from millrace.settings.declaration import Declared, Grant

DECLARED = Declared(
    room="release",
    role="release",
    timeout_s=300,
    rights=lambda _: [
        Grant("state_table.own_items", may="GetItem"),
        Grant("sagemaker_endpoints.list_released"),
        Grant("sagemaker_endpoints.both", may="DescribeEndpoint"),
        Grant("sagemaker_endpoints.configs", may="DeleteEndpointConfig"),
        Grant("sagemaker_endpoints.models", may="DeleteModel"),
    ],
)
