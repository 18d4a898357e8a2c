"""Repeats made into measurements, and hypotheses judged on them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.store.metrics import metric
from harness.store.statistics import ENOUGH_REPEATS, Estimate, estimate, ratio, verdict
from harness.store.summary import Applied, Hypothesis, Measurement, Params, Ratio


def measure(
    stage: str,
    scenario: str,
    params: Params,
    metric_id: str,
    values: Sequence[float],
    *,
    unit: str = "",
    valid: bool = True,
    limited_by: str | None = None,
    note: str | None = None,
    seed: int = 0,
) -> Measurement:
    """A measurement with its statistics, from its repeats in the order in which they ran.

    ``unit`` is taken from the metric if left empty. Raises ValueError if there is no value.
    """
    spread = estimate(values, seed=seed)
    return Measurement(
        stage=stage,
        scenario=scenario,
        params=params,
        metric=metric_id,
        unit=unit or metric(metric_id).unit,
        values=[float(value) for value in values],
        median=spread.value,
        low=spread.low,
        high=spread.high,
        n=spread.n,
        method=spread.method,
        valid=valid,
        limited_by=limited_by,
        note=note,
    )


def judge(
    stage: str, hypotheses: Iterable[Hypothesis], measurements: Sequence[Measurement], applied: Applied, seed: int = 0
) -> list[Ratio]:
    """Every hypothesis of ``stage`` on every cell in which the stage or the one it is compared with was measured.

    ``applied`` says what capped the instances; with ``none``, hypotheses that need a cap are not comparable. Cells in
    which only one of the two stages was measured are left out, because nothing was claimed about them; and so are,
    where a claim speaks of so much a second, cells at a fixed arrival rate: nobody can do more than what arrives.
    """
    found = {(m.stage, m.scenario, m.metric, _key(m.params)): m for m in measurements}
    ratios = []
    for hypothesis in hypotheses:
        for mine in measurements:
            claimed = (stage, hypothesis.scenario, hypothesis.metric)
            if (mine.stage, mine.scenario, mine.metric) != claimed or not _covers(hypothesis.params, mine.params):
                continue
            if mine.unit == "1/s" and "rate" in mine.params:
                continue
            params = mine.params if hypothesis.against_params is None else hypothesis.against_params
            other = found.get((hypothesis.against, mine.scenario, mine.metric, _key(params)))
            if other is not None:
                ratios.append(_judge_one(hypothesis, mine, other, applied, seed))
    return ratios


def _judge_one(hypothesis: Hypothesis, mine: Measurement, other: Measurement, applied: Applied, seed: int) -> Ratio:
    spread = ratio(mine.values, other.values, seed=seed)
    obstacle = _obstacle(hypothesis, mine, other, applied, spread)
    decided = (
        verdict(spread, at_least=hypothesis.at_least, at_most=hypothesis.at_most)
        if spread and not obstacle
        else "not_comparable"
    )
    too_few = spread is not None and not obstacle and spread.n < ENOUGH_REPEATS
    return Ratio(
        hypothesis=hypothesis.id,
        scenario=mine.scenario,
        params=mine.params,
        metric=mine.metric,
        stage=mine.stage,
        against=other.stage,
        ratio=spread.value if spread else None,
        low=spread.low if spread else None,
        high=spread.high if spread else None,
        verdict=decided,
        note=obstacle or (f"fewer than {ENOUGH_REPEATS} repeats" if too_few else None),
    )


def _obstacle(
    hypothesis: Hypothesis, mine: Measurement, other: Measurement, applied: Applied, spread: Estimate | None
) -> str | None:
    invalid = [side.stage for side in (mine, other) if not side.valid]
    if invalid:
        return f"the measurement of {' and '.join(invalid)} is invalid"
    if hypothesis.needs_cap and applied == "none":
        return "no CPU cap was applied, and this claim holds at equal instance size only"
    return "a repeat measured nothing" if spread is None else None


def _covers(wanted: Params, params: Params) -> bool:
    return all(key in params and params[key] == value for key, value in wanted.items())


def _key(params: Params) -> tuple[tuple[str, object], ...]:
    return tuple(sorted(params.items()))
