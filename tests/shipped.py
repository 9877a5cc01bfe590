"""The workloads that come with the product: each has a sample of its rows.

A person's own one, as `millrace new` writes it, has none, and no model card yet; it may lie beside them."""

from pathlib import Path

from millrace.workload.load import workload_folders

WORKLOADS = Path(__file__).resolve().parents[1] / "workloads"
ELECTRICITY = WORKLOADS / "electricity"
SHIPPED = [folder for folder in workload_folders(WORKLOADS) if (folder / "sample").is_dir()]
