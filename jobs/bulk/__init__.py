"""The job that judges a large drop in many tasks of Spark."""
