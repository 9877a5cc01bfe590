"""What runs: training, evaluation, serving, drift, one folder each."""
