"""The encoders: how a feature of a workload, mostly a column of the contract, becomes a part of the model's input."""
