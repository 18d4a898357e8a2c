"""CPU and memory of every process while a cell runs: services, servers, and the load generator."""

from harness.sample.sampler import Sampler, Snapshot

__all__ = ["Sampler", "Snapshot"]
