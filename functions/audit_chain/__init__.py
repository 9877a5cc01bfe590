"""Writes the changes of the audit table into the locked bucket, as a hash chain for each workload."""
