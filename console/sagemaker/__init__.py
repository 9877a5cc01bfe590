"""Reads and writes the files of SageMaker's Model Monitor, Clarify, Ground Truth and A2I."""
