"""Amazon Athena, SQL over the catalogue's tables."""
