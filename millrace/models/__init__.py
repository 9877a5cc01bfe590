"""The families in torch, one file each, imported by the name that `millrace.models.catalogue` lists."""
