"""AWS Glue: the catalogue of tables."""
