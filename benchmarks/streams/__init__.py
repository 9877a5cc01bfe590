"""Real streams that benchmarks judge on."""
