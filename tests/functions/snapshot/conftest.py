"""The same drive as the ingestion's tests."""

from tests.functions.ingestion.conftest import cloud, ingest, lake, load, names, sample

__all__ = ["cloud", "ingest", "lake", "load", "names", "sample"]
