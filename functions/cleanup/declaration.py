"""How the function `cleanup` is deployed."""

from millrace.settings.declaration import Declared, Grant

DECLARED = Declared(
    room="training",
    role="training",
    keeps_events=True,
    rights=lambda _: [
        Grant("state_table.own_items", may="Query GetItem PutItem UpdateItem DeleteItem"),
        Grant("sagemaker_endpoints.both", may="DescribeEndpoint DeleteEndpoint"),
        Grant("sagemaker_endpoints.configs", may="DescribeEndpointConfig"),
        Grant("sagemaker_endpoints.find_scaling"),
        Grant("step_functions.machines", "release", may="StartExecution"),
        Grant("state_table.append_audit"),
        Grant("registry.find_versions"),
        Grant("registry.versions", may="DescribeModelPackage"),
        Grant("alarms.describe", because="DescribeAlarms by prefix takes no resource"),
        Grant("alarms.of_releases", may="DeleteAlarms"),
    ],
)
