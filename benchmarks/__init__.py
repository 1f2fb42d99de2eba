"""Throughput of the native kernels beside what they replace; `python -m benchmarks.table` prints it all."""
