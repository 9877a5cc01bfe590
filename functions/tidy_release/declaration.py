"""How the function `tidy_release` is deployed."""

from millrace.settings.declaration import Declared, Right

DECLARED = Declared(
    room="release",
    role="release",
    description="Delete models and configurations before the previous version's",
    timeout_s=300,
    rights=lambda _: [
        Right("state_table.own_items", may="GetItem"),
        Right("sagemaker_endpoints.list_released"),
        Right("sagemaker_endpoints.both", may="DescribeEndpoint"),
        Right("sagemaker_endpoints.configs", may="DeleteEndpointConfig"),
        Right("sagemaker_endpoints.models", may="DeleteModel"),
    ],
)
