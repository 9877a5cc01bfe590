"""AWS CloudFormation: makes the resources of templates through the services' own APIs."""
