"""Endpoints: processes that answer, fleets that change."""
