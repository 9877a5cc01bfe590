"""The fixtures of the ingestion tests: the same tables."""

from tests.functions.ingestion.conftest import ingest, lake, load, names, sample

__all__ = ["ingest", "lake", "load", "names", "sample"]
