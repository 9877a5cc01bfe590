"""The same drive as the ingestion's tests."""

from tests.functions.ingestion.conftest import ingest, lake, load, names, sample

__all__ = ["ingest", "lake", "load", "names", "sample"]
