"""Tests mirror the tree; benchmarks run as modules, `python -m tests.benchmarks.<name>`, which needs this file."""
