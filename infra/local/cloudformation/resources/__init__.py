"""CloudFormation's resource types as tables: one file per service family, each type made by the service's own API."""
