"""How the function `cleanup` is deployed."""

from millrace.settings.declaration import Declared, Right

DECLARED = Declared(
    room="training",
    role="training",
    description="Free what an execution held when it has ended",
    keeps_events=True,
    rights=lambda _: [
        Right("state_table.own_items", may="Query GetItem PutItem UpdateItem DeleteItem"),
        Right("sagemaker_endpoints.both", may="DescribeEndpoint DeleteEndpoint"),
        Right("sagemaker_endpoints.configs", may="DescribeEndpointConfig"),
        Right("sagemaker_endpoints.find_scaling"),
        Right("step_functions.machines", "release", may="StartExecution"),
        Right("state_table.append_audit"),
        Right("registry.find_versions"),
        Right("registry.versions", may="DescribeModelPackage"),
        Right("alarms.describe", because="DescribeAlarms by prefix takes no resource"),
        Right("alarms.of_releases", may="DeleteAlarms"),
    ],
)
