"""CloudFormation's resource types as tables: one file for each family of services. The services' own APIs make them."""
