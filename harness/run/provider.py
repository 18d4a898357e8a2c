"""How slow the payment provider was made, in the words and the lines of the report."""

from __future__ import annotations

import math

from harness.report.extras import ReferenceLine
from harness.run.options import PROVIDER_SIGMA, RunOptions


def note(options: RunOptions) -> str:
    """The simulator's latency in a sentence."""
    if options.provider_median_ms == 0:
        return "The payment provider simulator answers without any latency of its own, the same for every stage."
    return (
        "The payment provider simulator takes its time before it answers, the same for every stage: log-normal, "
        f"median {options.provider_median_ms:,g} ms, mean {_mean_ms(options):,.0f} ms (sigma {PROVIDER_SIGMA:g})."
    )


def references(options: RunOptions) -> list[ReferenceLine]:
    """The simulator's own latency as a line in the figures that contain it, so that nobody takes it for ours."""
    if options.provider_median_ms == 0:
        return []
    lines = (
        ("refund_done_ms", options.provider_median_ms, "payment provider alone, median"),
        ("mean_ms", _mean_ms(options), "payment provider alone, mean"),
    )
    return [
        ReferenceLine(scenario=scenario.id, metric=metric, value=value, label=label)
        for scenario in options.scenarios
        if scenario.asks_provider
        for metric, value, label in lines
        if not (scenario.mixed and metric == "mean_ms")
    ]


def _mean_ms(options: RunOptions) -> float:
    """Mean of a log-normal variate: median times e to the power of half the variance of its logarithm."""
    return options.provider_median_ms * math.exp(PROVIDER_SIGMA**2 / 2)
