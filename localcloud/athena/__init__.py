"""Amazon Athena: SQL over the tables of the catalogue."""
