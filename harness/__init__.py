"""The benchmark harness: provision, launch, load, audit, sample, store, report, and the stages tool."""
