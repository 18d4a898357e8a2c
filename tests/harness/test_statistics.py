"""Medians, spreads, ratios, verdicts, and the doubts that figures carry."""

from __future__ import annotations

import math
import statistics as reference

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.store.doubts import caveats, doubts, spread_share
from harness.store.ratios import judge, measure
from harness.store.statistics import Estimate, estimate, ratio, verdict
from harness.store.summary import Applied, Hypothesis, Measurement, Verdict

bounded = settings(max_examples=60, deadline=None)  # a busy machine is slow, not wrong
figures = st.floats(min_value=1e-3, max_value=1e6)
repeats = st.lists(figures, min_size=1, max_size=12)
pairs = st.lists(st.tuples(figures, figures), min_size=1, max_size=12)


@bounded
@given(repeats)
def test_the_median_lies_within_its_spread_and_the_spread_within_the_values(values: list[float]) -> None:
    found = estimate(values)
    assert found.value == reference.median(values)
    assert min(values) <= found.low <= found.value <= found.high <= max(values)
    assert found.n == len(values)
    assert found.method == ("range" if len(values) < 6 else "bootstrap95")


@bounded
@given(repeats.flatmap(lambda values: st.tuples(st.just(values), st.permutations(values))))
def test_the_order_of_repeats_does_not_matter(orders: tuple[list[float], list[float]]) -> None:
    assert estimate(orders[0]) == estimate(orders[1])


@bounded
@given(repeats, st.sampled_from([0.001, 0.5, 3.0, 1000.0]))
def test_another_unit_changes_nothing_but_the_unit(values: list[float], factor: float) -> None:
    plain, scaled = estimate(values), estimate([value * factor for value in values])
    for before, after in ((plain.value, scaled.value), (plain.low, scaled.low), (plain.high, scaled.high)):
        assert after == pytest.approx(before * factor, rel=1e-9)


def test_few_repeats_show_their_range() -> None:
    assert estimate([3.0, 1.0, 2.0]) == Estimate(2.0, 1.0, 3.0, 3, "range")
    assert estimate([7.0]) == Estimate(7.0, 7.0, 7.0, 1, "range")


def test_an_outlier_widens_the_range_but_not_the_bootstrap() -> None:
    calm = [100.0, 101.0, 99.0, 100.5, 99.5, 100.2, 99.8, 100.1, 99.9]
    assert estimate([*calm[:4], 500.0]).high == 500.0
    found = estimate([*calm, 500.0])
    assert found.high < 110
    assert found.low < found.value < found.high


def test_the_seed_decides_the_bootstrap() -> None:
    values = [float(value) for value in (3, 14, 15, 92, 65, 35, 89, 79)]
    assert estimate(values, seed=1) == estimate(values, seed=1)
    spread_out = [1.07**step for step in range(21)]
    assert len({estimate(spread_out, seed=seed).low for seed in range(30)}) > 1


def test_nothing_cannot_be_estimated() -> None:
    with pytest.raises(ValueError, match="at least one value"):
        estimate([])
    with pytest.raises(ValueError, match="at least one value"):
        ratio([], [1.0])


@bounded
@given(pairs)
def test_the_ratio_of_medians_lies_within_the_paired_ratios(repeated: list[tuple[float, float]]) -> None:
    found = ratio([left for left, _ in repeated], [right for _, right in repeated])
    assert found is not None
    assert found.low <= found.value <= found.high
    quotients = [left / right for left, right in repeated]
    assert found.low >= min(quotients) * (1 - 1e-9)
    assert found.high <= max(quotients) * (1 + 1e-9)


@bounded
@given(pairs)
def test_a_stage_against_itself_is_exactly_one(repeated: list[tuple[float, float]]) -> None:
    values = [left for left, _ in repeated]
    found = ratio(values, values)
    assert found is not None
    assert (found.low, found.value, found.high) == (1.0, 1.0, 1.0)


@bounded
@given(pairs)
def test_swapping_the_stages_inverts_a_paired_range(repeated: list[tuple[float, float]]) -> None:
    stage, against = [left for left, _ in repeated[:5]], [right for _, right in repeated[:5]]
    there, back = ratio(stage, against), ratio(against, stage)
    assert there is not None
    assert back is not None
    assert there.low == pytest.approx(1 / back.high)
    assert there.high == pytest.approx(1 / back.low)


def test_pairing_takes_out_the_drift_of_the_machine() -> None:
    drifting = [100.0, 150.0, 200.0]
    found = ratio([2 * value for value in drifting], drifting)
    assert found is not None
    assert (found.low, found.high) == (2.0, 2.0)


def test_a_missing_repeat_gives_the_widest_ratios() -> None:
    found = ratio([10.0, 20.0, 30.0], [5.0, 10.0])
    assert found is not None
    assert (found.low, found.high, found.n) == (1.0, 6.0, 2)


@pytest.mark.parametrize(("stage", "against"), [([1.0], [0.0]), ([1.0, 2.0], [3.0, 0.0]), ([-1.0], [1.0])])
def test_a_ratio_without_meaning_is_none(stage: list[float], against: list[float]) -> None:
    assert ratio(stage, against) is None


@pytest.mark.parametrize(
    ("low", "high", "n", "expected"),
    [
        (5.0, 6.0, 3, "confirmed"),
        (4.9, 6.0, 3, "inconclusive"),
        (4.0, 5.0, 3, "inconclusive"),
        (4.0, 4.9, 3, "refuted"),
        (5.0, 6.0, 2, "inconclusive"),
        (1.0, 1.0, 1, "inconclusive"),
    ],
)
def test_verdict_against_a_lower_bound(low: float, high: float, n: int, expected: Verdict) -> None:
    spread = Estimate((low + high) / 2, low, high, n, "range")
    assert verdict(spread, at_least=5.0) == expected


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.04, 0.05, "confirmed"), (0.04, 0.051, "inconclusive"), (0.051, 0.06, "refuted"), (0.05, 0.06, "inconclusive")],
)
def test_verdict_against_an_upper_bound(low: float, high: float, expected: Verdict) -> None:
    assert verdict(Estimate(low, low, high, 3, "range"), at_most=0.05) == expected


@bounded
@given(figures, figures, figures)
def test_a_claim_is_never_confirmed_and_refuted_by_tightening(one: float, other: float, bound: float) -> None:
    spread = Estimate(min(one, other), min(one, other), max(one, other), 3, "range")
    if verdict(spread, at_least=bound) == "confirmed":
        assert verdict(spread, at_least=bound / 2) == "confirmed"
        assert verdict(spread, at_most=bound / 2) == "refuted"


def test_a_verdict_needs_exactly_one_bound() -> None:
    spread = Estimate(1.0, 1.0, 1.0, 3, "range")
    with pytest.raises(ValueError, match="exactly one"):
        verdict(spread)
    with pytest.raises(ValueError, match="exactly one"):
        verdict(spread, at_least=1.0, at_most=2.0)


def _throughput(stage: str, values: list[float], *, valid: bool = True, **params: int) -> Measurement:
    return measure(stage, "seat_lookup", dict(params), "throughput", values, valid=valid)


FASTER = Hypothesis(id="faster", scenario="seat_lookup", metric="throughput", against="01", at_least=2.0)


def _verdicts(hypothesis: Hypothesis, measurements: list[Measurement], applied: Applied = "cgroup v2") -> list[Verdict]:
    return [found.verdict for found in judge("02", [hypothesis], measurements, applied)]


def test_a_hypothesis_is_judged_on_every_cell_that_both_stages_have() -> None:
    measurements = [
        _throughput("01", [10.0, 11.0, 10.0], buyers=1),
        _throughput("01", [10.0, 11.0, 10.0], buyers=2),
        _throughput("02", [30.0, 31.0, 30.0], buyers=1),
        _throughput("02", [15.0, 16.0, 15.0], buyers=2),
        _throughput("02", [15.0, 16.0, 15.0], buyers=3),
    ]
    assert _verdicts(FASTER, measurements) == ["confirmed", "refuted"]
    assert _verdicts(FASTER.model_copy(update={"params": {"buyers": 2}}), measurements) == ["refuted"]


def test_a_cell_may_be_compared_with_one_of_other_params() -> None:
    measurements = [_throughput("01", [10.0] * 3), _throughput("02", [30.0] * 3, replicas=1)]
    assert _verdicts(FASTER, measurements) == []
    assert _verdicts(FASTER.model_copy(update={"params": {"replicas": 1}, "against_params": {}}), measurements) == [
        "confirmed"
    ]


def test_no_claim_of_so_much_a_second_is_judged_where_so_much_arrives() -> None:
    measurements = [
        measure(stage, "seat_lookup", {"rate": 30.0}, metric, [value] * 3)
        for stage, value in (("01", 10.0), ("02", 30.0))
        for metric in ("throughput", "p99_ms")
    ]
    slower = FASTER.model_copy(update={"metric": "p99_ms"})
    assert (_verdicts(FASTER, measurements), _verdicts(slower, measurements)) == ([], ["confirmed"])


def test_what_cannot_be_compared_is_not_judged() -> None:
    good = [_throughput("01", [10.0] * 3), _throughput("02", [30.0] * 3)]
    capped = FASTER.model_copy(update={"needs_cap": True})
    assert _verdicts(capped, good) == ["confirmed"]
    assert _verdicts(capped, good, "none") == ["not_comparable"]
    assert _verdicts(FASTER, good, "none") == ["confirmed"]
    assert _verdicts(FASTER, [good[0], _throughput("02", [30.0] * 3, valid=False)]) == ["not_comparable"]
    zero = judge("02", [FASTER], [_throughput("01", [0.0] * 3), good[1]], "cgroup v2")
    assert [(found.verdict, found.ratio) for found in zero] == [("not_comparable", None)]


def test_too_few_repeats_leave_a_claim_open_and_say_why() -> None:
    (found,) = judge("02", [FASTER], [_throughput("01", [10.0]), _throughput("02", [30.0])], "cgroup v2")
    assert (found.verdict, found.ratio, found.note) == ("inconclusive", 3.0, "fewer than 3 repeats")


def test_a_calm_figure_raises_no_doubt() -> None:
    assert doubts(_throughput("01", [100.0, 101.0, 99.0])) == []
    assert caveats([_throughput("01", [100.0, 101.0, 99.0])]) == []


def test_a_spread_of_more_than_a_fifth_is_unstable() -> None:
    assert doubts(_throughput("01", [100.0, 100.0, 120.0])) == []
    assert doubts(_throughput("01", [100.0, 100.0, 121.0])) == ["unstable: the repeats spread over 21% of their median"]
    assert caveats([_throughput("01", [100.0, 100.0, 121.0])]) == [
        "seat_lookup, 01: the repeats spread widely (throughput over 21% of the median)."
    ]


def test_spread_share_of_zeros() -> None:
    assert spread_share(_throughput("01", [0.0, 0.0, 0.0])) == 0.0
    assert math.isinf(spread_share(_throughput("01", [0.0, 0.0, 1.0])))


def test_caveats_are_gathered() -> None:
    measurements = [
        measure("01", "booking", {}, name, [5.0] * 3, limited_by="gateway") for name in ("throughput", "p95_ms")
    ]
    measurements.append(measure("02", "booking", {"buyers": 5}, "throughput", [5.0] * 3, limited_by="gateway"))
    measurements.append(measure("02", "cancel", {}, "mean_ms", [5.0] * 2, valid=False, note="seeding failed."))
    assert caveats(measurements) == [
        "cancel, 02: not valid (seeding failed).",
        "cancel: a figure rests on at most 2 repeats; 3 are needed for a verdict.",
        "booking, 01 and 02 (buyers 5): gateway was saturated, so the figure is a lower bound for the platform.",
    ]
