"""The dossier of a version: what an auditor and a buyer ask, answered from records that its reader can verify."""
