"""Typed rows are judged by the contract."""
