"""The function `ingestion`: it turns the bytes of drops into typed rows."""
