"""Benchmarks of `likewise.transport`."""
