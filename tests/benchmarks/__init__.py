"""Tests of what the benchmarks compare with."""

__all__: list[str] = []
