"""The Iceberg tables of a workload: one commit per drop, tagged snapshots, late labels taken in."""
