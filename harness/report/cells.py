"""The summary, looked up by cell: one stage under one scenario with one set of params."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from harness.report.format import params_label
from harness.report.palette import LOAD_GENERATOR, stage_hues
from harness.store.summary import Audit, Cost, Measurement, Params, Scalar, Summary

TITLES = {
    "concert_list": "Concert list",
    "seat_lookup": "Seat lookup",
    "booking": "Booking",
    "cancel": "Cancellation",
    "one_seat": "One seat, many buyers",
    "on_sale": "On-sale rush",
    "mixed_day": "Mixed day",
    "scale": "Scale",
    "noop": "Ceiling (noop)",
}
"""Known scenarios in the order in which a report shows them."""

CEILING = "noop"
"""The scenario whose answer is a constant: what gateway and load generator can do at most."""

CEILED = ("concert_list", "seat_lookup")
"""Scenarios that the ceiling bears on: reads whose answers are as large as the constant one."""

Key = tuple[tuple[str, Scalar], ...]


def key(params: Params) -> Key:
    """Params as a dictionary key."""
    return tuple(sorted(params.items()))


def covers(wanted: Params, params: Params) -> bool:
    """Whether ``params`` has all of ``wanted``."""
    return all(name in params and params[name] == value for name, value in wanted.items())


@dataclass(frozen=True)
class StageLabel:
    """How a stage appears everywhere: its id, title and hue."""

    id: str
    title: str
    hue: int


class Cells:
    """Index over a summary; order is that of the summary's stages, and of first appearance for params."""

    def __init__(self, summary: Summary) -> None:
        self.summary = summary
        hues = stage_hues(summary.stages)
        self.stages = {stage.id: StageLabel(stage.id, stage.title, hues[stage.id]) for stage in summary.stages}
        self._measurements = {(m.stage, m.scenario, key(m.params), m.metric): m for m in summary.measurements}
        self._costs: dict[tuple[str, str, Key], list[Cost]] = {}
        for cost in summary.costs:
            self._costs.setdefault((cost.stage, cost.scenario, key(cost.params)), []).append(cost)

    def stage(self, stage_id: str) -> StageLabel:
        """The label of a stage; one that the summary does not describe is grey."""
        return self.stages.get(stage_id) or StageLabel(stage_id, stage_id, 0)

    def scenarios(self) -> list[str]:
        """Scenarios with any finding, known ones first in the usual order."""
        summary = self.summary
        seen = dict.fromkeys(
            [m.scenario for m in summary.measurements]
            + [cost.scenario for cost in summary.costs]
            + [audit.scenario for audit in summary.audits]
        )
        return [*(name for name in TITLES if name in seen), *(name for name in seen if name not in TITLES)]

    def variants(self, scenario: str, metrics: Iterable[str]) -> list[Params]:
        """The params under which a scenario was measured in any of ``metrics``."""
        wanted = set(metrics)
        found = {
            key(m.params): m.params for m in self.summary.measurements if m.scenario == scenario and m.metric in wanted
        }
        return ordered(found.values())

    def rows(self, scenario: str, params: Params, metric: str) -> Iterator[tuple[StageLabel, Measurement]]:
        """The measurements of one metric in one variant, one a stage, in the order of the stages."""
        for stage in self._all_stages():
            measurement = self.measurement(stage.id, scenario, params, metric)
            if measurement:
                yield stage, measurement

    def measurement(self, stage: str, scenario: str, params: Params, metric: str) -> Measurement | None:
        """One metric of one cell, if it was measured."""
        return self._measurements.get((stage, scenario, key(params), metric))

    def platform_costs(self, stage: str, scenario: str, params: Params) -> list[Cost]:
        """CPU of each component of platform and servers in one cell, the load generator left out as in ``cpu_us``."""
        found = self._costs.get((stage, scenario, key(params)), [])
        return [cost for cost in found if cost.component != LOAD_GENERATOR]

    def cost_variants(self, scenario: str) -> list[Params]:
        """The params under which costs of a scenario are known."""
        found = {key(cost.params): cost.params for cost in self.summary.costs if cost.scenario == scenario}
        return list(found.values())

    def metrics(self, scenario: str) -> list[str]:
        """The metrics measured in a scenario, in order of first appearance."""
        return list(dict.fromkeys(m.metric for m in self.summary.measurements if m.scenario == scenario))

    def audits(self, stage: str, scenario: str, params: Params) -> list[Audit]:
        """The rules checked in one cell."""
        here = (stage, scenario, key(params))
        return [a for a in self.summary.audits if (a.stage, a.scenario, key(a.params)) == here]

    def share_of_ceiling(self, measurement: Measurement) -> float | None:
        """Throughput as a share of what the same stage's gateway did with a constant answer, if that was measured."""
        if measurement.scenario not in CEILED or measurement.metric != "throughput":
            return None
        ceiling = self.measurement(measurement.stage, CEILING, {}, "throughput")
        return measurement.median / ceiling.median if ceiling and ceiling.median > 0 else None

    def _all_stages(self) -> list[StageLabel]:
        unnamed = dict.fromkeys(m.stage for m in self.summary.measurements if m.stage not in self.stages)
        return [*self.stages.values(), *(self.stage(name) for name in unnamed)]


def ordered(variants: Iterable[Params]) -> list[Params]:
    """Variants by the values of their params."""
    return sorted(variants, key=lambda params: [(name, _order(params[name])) for name in sorted(params)])


def scenario_title(scenario: str, given: Mapping[str, str]) -> str:
    """The title given with the run, else the usual one, else the id."""
    return given.get(scenario) or TITLES.get(scenario) or scenario.replace("_", " ").capitalize()


def variant_label(params: Params, variants: list[Params]) -> str:
    """How one of several variants is headed; the only one needs no heading unless it has params."""
    return params_label(params) or ("default" if len(variants) > 1 else "")


def _order(value: object) -> tuple[int, float, str]:
    """Numbers by size, before words by name."""
    if isinstance(value, (int, float)):
        return (0, float(value), "")
    return (1, 0.0, str(value))
