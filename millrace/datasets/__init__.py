"""The Iceberg tables of a workload: one snapshot per drop, tagged snapshots for trainings, rows joined with labels."""
