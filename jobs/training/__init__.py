"""Training: pinned rows in, a calibrated model artefact out."""
