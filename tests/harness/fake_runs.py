"""Made-up runs, for the tests of summary and report only: figures are drawn from a seed, nothing was measured."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from itertools import pairwise

from harness.report.extras import (
    DiffFile,
    FailureCount,
    GaugeSeries,
    MemoryPeak,
    RawLink,
    ReportExtras,
    ScenarioText,
    StageDiff,
    Table,
    Timeline,
    TimelineEvent,
)
from harness.store.ratios import judge, measure
from harness.store.summary import (
    Audit,
    Cost,
    Hypothesis,
    InstanceSize,
    Machine,
    Measurement,
    Params,
    Run,
    Stage,
    Summary,
)

STAGES = {
    "01_baseline": ("Baseline", "What a good engineer writes first: four services, PostgreSQL, no cache, no queue."),
    "02_cache": ("Cache", "Concert pages and seat look-ups are answered from Redis as stored bytes."),
    "03_async_cancel": ("Asynchronous cancellation", "Cancelling answers at once; the refund goes through Kafka."),
    "04_scaleout": ("Scale-out", "Two replicas of concert and order behind discovery, and a lock per seat."),
    "05_queue": ("Admission queue", "Above the limit a booking gets a ticket and a place in line."),
}
SPEED = {
    "concert_list": (118.0, 640.0, 640.0, 1180.0, 1170.0),
    "seat_lookup": (84.0, 210.0, 212.0, 402.0, 398.0),
    "booking": (52.0, 55.0, 54.0, 96.0, 288.0),
    "cancel": (14.0, 14.0, 61.0, 118.0, 117.0),
    "one_seat": (96.0, 98.0, 97.0, 310.0, 420.0),
    "on_sale": (70.0, 102.0, 104.0, 190.0, 240.0),
    "mixed_day": (66.0, 130.0, 133.0, 240.0, 251.0),
    "noop": (1480.0, 1475.0, 1490.0, 1482.0, 1460.0),
}
BURST: list[Params] = [{"buyers": 1000}, {"buyers": 5000}]
PARAMS: dict[str, list[Params]] = {"one_seat": BURST, "cancel": [{}, {"load": "open", "rate": 7.0}]}
COSTS = {"gateway": 230.0, "user": 12.0, "concert": 820.0, "order": 240.0, "postgres": 690.0}
RULES = ("seat-sold-once", "acknowledged-exists-once", "refund-exactly-once")


def fake_summary(
    stages: int = 5, scenarios: int = 8, repeats: int = 3, *, seed: int = 1, broken: bool = False
) -> Summary:
    """A run of the first ``stages`` stages and ``scenarios`` scenarios; ``broken`` adds a violated rule."""
    generator = random.Random(seed)
    names, tests = list(STAGES)[:stages], list(SPEED)[:scenarios]
    measurements = [m for test in tests for stage in names for m in _measured(generator, stage, test, repeats)]
    described = [_stage(name) for name in names]
    return Summary(
        run=fake_run(),
        stages=described,
        measurements=measurements,
        ratios=[r for stage in described for r in judge(stage.id, stage.hypotheses, measurements, "cgroup v1")],
        costs=[c for test in tests for stage in names for c in _costs(generator, stage, test)],
        audits=[a for test in tests if test != "noop" for stage in names for a in _audits(stage, test, broken)],
    )


def fake_run() -> Run:
    """The frame of a run."""
    return Run(
        id="2026-11-23T14-57-39-quick",
        started=datetime(2026, 11, 23, 14, 57, 39, tzinfo=UTC),
        seconds=842.3,
        profile="quick",
        machine=Machine(
            cpu_model="AMD EPYC 7B13",
            cores=2,
            memory_bytes=8_229_437_440,
            kernel="Linux 6.1.0-28-cloud-amd64",
            python="3.11.7",
            versions={"PostgreSQL": "18.6", "Valkey": "9.1.2", "Apache Kafka": "4.4.0", "uvicorn": "0.54.0"},
        ),
        provider="embedded",
        instance_size=InstanceSize(
            requested="0.15",
            applied="cgroup v1",
            components={"gateway": 1.0, "user": 0.15, "concert": 0.15, "order": 0.15, "postgres": None, "locust": None},
        ),
        arguments=["quick", "--stages", "01,02,03,04,05", "--repeats", "3", "--seed", "20261123"],
        seed=20261123,
        settings={
            "postgres fsync": True,
            "postgres shared_buffers": "128MB",
            "kafka acks": "all",
            "payment median ms": 600,
        },
        caveats=["Load generator, servers and platform share two cores, so they take time from one another."],
        revision="4f2a91c",
    )


def fake_extras(summary: Summary) -> ReportExtras:
    """Timelines, diffs, failures and links that go with a made-up summary."""
    generator = random.Random(7)
    stages = [stage.id for stage in summary.stages]
    cells = sorted({(m.scenario, m.stage) for m in summary.measurements if not m.params})
    tests = dict.fromkeys(m.scenario for m in summary.measurements)
    return ReportExtras(
        timelines=[_timeline(generator, stage, test, repeat) for test, stage in cells for repeat in (1, 2, 3)],
        memory=[peak for test in tests for stage in stages for peak in _peaks(stage, test)],
        failures=[
            FailureCount(stage=stages[0], scenario="booking", kind="HTTP 503, code 5000", count=1284),
            FailureCount(stage=stages[-1], scenario="booking", kind="time-out", count=2),
        ],
        diffs=[_diff(stage, against) for against, stage in pairwise(stages)],
        scenarios={
            "concert_list": ScenarioText(text="100 users read the first page of concerts, one request after another."),
            "one_seat": ScenarioText(
                text="All buyers want the same seat at the same moment.", notes=["One winner each."]
            ),
        },
        tables=[
            Table(
                title="Cache",
                scenario="concert_list",
                columns=["Stage", "Hit ratio", "Evictions"],
                rows=[["02_cache", "99.8%", 0], ["03_async_cancel", "99.7%", 12]],
            )
        ],
        ceiling="A constant answer of the same size through the same gateway: what gateway and Locust can do at most.",
        links=[
            RawLink(
                title="concert_list, 01_baseline, repeat 1",
                href="samples/01_baseline/concert_list/r1.csv.gz",
                group="Raw samples",
                size_bytes=183_204,
            ),
            RawLink(title="gateway.log", href="logs/01_baseline/gateway.log", group="Logs", size_bytes=2_104),
        ],
        rerun_notes=["The seed fixes data and order; the machine's own noise remains."],
    )


def _stage(name: str) -> Stage:
    title, improvement = STAGES[name]
    hypotheses = {
        "02_cache": [
            Hypothesis(id="list-from-cache", scenario="concert_list", metric="throughput", against="01_baseline",
                       at_least=5.0, why="The list is answered from Redis without a query or an encoding."),
            Hypothesis(id="seats-from-cache", scenario="seat_lookup", metric="throughput", against="01_baseline",
                       at_least=2.0, why="Schedule and venue are no longer read for each look-up."),
        ],
        "03_async_cancel": [
            Hypothesis(id="cancel-at-once", scenario="cancel", metric="mean_ms", against="02_cache",
                       at_most=0.05, why="The answer no longer waits for the payment provider."),
        ],
        "04_scaleout": [
            Hypothesis(id="replicas", scenario="seat_lookup", metric="throughput", against="03_async_cancel",
                       at_least=1.95, needs_cap=True, why="Two replicas own twice the CPU."),
        ],
        "05_queue": [
            Hypothesis(id="batches", scenario="booking", metric="throughput", against="04_scaleout", at_least=3.5,
                       needs_cap=True, why="The dispatcher books many seats in one statement."),
        ],
    }.get(name, [])  # fmt: skip
    replicas = 2 if name >= "04" else 1
    return Stage(
        id=name,
        title=title,
        improvement=improvement,
        cpu_budget=1.45 + 0.3 * (replicas - 1),
        hypotheses=hypotheses,
        instances={"gateway": 1, "user": 1, "concert": replicas, "order": replicas},
        known_defects=["a cancelled booking may be refunded twice after a crash"] if name < "03" else [],
    )


def _measured(generator: random.Random, stage: str, test: str, repeats: int) -> list[Measurement]:
    index = list(STAGES).index(stage)
    centre = SPEED[test][index]
    limit = "gateway" if test == "concert_list" and index >= 3 else None
    found = []
    for params in PARAMS.get(test, [{}]):

        def noisy(value: float, sigma: float = 0.03) -> list[float]:
            return [value * generator.lognormvariate(0, sigma) for _ in range(repeats)]

        wait = 100_000 / centre * (1.0 if test != "one_seat" else 8.0)
        wide = 0.2 if (test, index) == ("booking", 0) else 0.03
        burst = test == "one_seat"
        share = (0.2, 0.21, 0.2, 0.94, 1.0)[index] if params == BURST[1] else (0.97, 0.98, 0.97, 1.0, 1.0)[index]
        pace = {
            "all_answered_ms": noisy(wait * 3),
            "answered_well": [min(1.0, share + 0.01 * i) for i in range(repeats)],
            "winners": [1.0] * repeats,
        } if burst else {"throughput": noisy(centre, wide), "cpu_us": noisy(2_000 - 200 * index)}  # fmt: skip
        if "rate" in params:
            pace |= {"late": [float(3 * i) for i in range(repeats)], "dropped": [0.0] * repeats}
        for metric, values in {
            **pace,
            "mean_ms": noisy(wait * 1.05),
            "p50_ms": noisy(wait * 0.9),
            "p95_ms": noisy(wait * 1.7, 0.06),
            "p99_ms": noisy(wait * 2.6, 0.1),
            "failures": [float(int(index == 0 and test == "booking") * 428)] * repeats,
        }.items():
            invalid = (test, index, metric) == ("mixed_day", 2, "throughput")
            note = "warm-up did not settle" if invalid else None
            found.append(measure(stage, test, params, metric, values, limited_by=limit, valid=not invalid, note=note))
    return found


def _costs(generator: random.Random, stage: str, test: str) -> list[Cost]:
    index = list(STAGES).index(stage)
    parts = dict(COSTS)
    if test == "one_seat":
        return []
    if test == "noop":
        parts = {"gateway": 190.0}
    elif index >= 1:
        parts |= {"concert": 170.0, "postgres": 40.0 + 12.0, "redis": 46.0}
    if index >= 2 and test in ("cancel", "booking"):
        parts |= {"order_consumer": 90.0, "kafka": 120.0}
    return [
        Cost(
            stage=stage,
            scenario=test,
            params=params,
            component=name,
            cpu_us_per_request=value * generator.uniform(0.9, 1.1),
            peak_memory_mib=_memory(stage)[name],
        )
        for params in PARAMS.get(test, [{}])
        for name, value in parts.items()
    ]


def _memory(stage: str) -> dict[str, float]:
    """MiB by component."""
    held = {"gateway": 62.0, "user": 78.0, "concert": 88.0, "order": 94.0, "postgres": 115.0, "locust": 98.0}
    return held | ({"redis": 14.0, "order_consumer": 81.0, "kafka": 311.0} if stage >= "02" else {})


def _peaks(stage: str, test: str) -> list[MemoryPeak]:
    held = _memory(stage)
    together = sum(mib for name, mib in held.items() if name != "locust")
    return [
        MemoryPeak(stage=stage, scenario=test, params=params, by_component=held, platform=together - 5)
        for params in PARAMS.get(test, [{}])
    ]


def _audits(stage: str, test: str, broken: bool) -> list[Audit]:
    found = []
    for params in PARAMS.get(test, [{}]):
        for rule in RULES:
            declared = stage < "03" and rule == RULES[2] and test == "cancel"
            bad = broken and (stage, test, rule) == ("01_baseline", "booking", RULES[0])
            count = 3 if bad else 2 if declared else 0
            detail = "seat 4 17 of schedule 12 sold to users 9 and 41" if bad else None
            found.append(
                Audit(
                    stage=stage,
                    scenario=test,
                    params=params,
                    rule=rule,
                    violations=count,
                    declared=declared,
                    detail=detail,
                )
            )
    return found


def _timeline(generator: random.Random, stage: str, test: str, repeat: int) -> Timeline:
    rate = SPEED[test][list(STAGES).index(stage)]
    wave = [rate * generator.lognormvariate(0, 0.06) for _ in range(20)]
    fault = [TimelineEvent(at_s=8.2, label="order killed")] if test == "booking" else []
    share = {"gateway": 0.35, "concert": 0.15, "order": 0.12, "postgres": 0.4, "locust": 0.5}
    return Timeline(
        stage=stage,
        scenario=test,
        repeat=repeat,
        requests_per_s=wave,
        failures_per_s=[12.0 if fault and 8 <= second <= 10 else 0.0 for second in range(20)],
        sample_step_s=0.5,
        cpu={name: [cpu * generator.lognormvariate(0, 0.15) for _ in range(40)] for name, cpu in share.items()},
        memory_mib={name: [mib + second / 10 for second in range(40)] for name, mib in _memory(stage).items()},
        gauges=[
            GaugeSeries(title="Time to the answer (ms)", values=[700.0, None, 650.0], line=600, line_label="provider"),
            GaugeSeries(
                title="Refunds outstanding (bookings)", step_s=0.5, values=[abs(20 - i) * 3.0 for i in range(40)]
            ),
        ]
        if test == "cancel"
        else [],
        events=fault,
    )


def _diff(stage: str, against: str) -> StageDiff:
    text = """--- a/concert/service.py
+++ b/concert/service.py
@@ -12,6 +12,9 @@ class ConcertService:
     async def page(self, request: PageRequest) -> Page[ConcertView]:
-        return await self._repository.page(request)
+        cached = await self._cache.get(request)
+        if cached is not None:
+            return cached
+        return await self._cache.fill(request, self._repository.page)
--- a removed SQL comment stays visible
"""
    return StageDiff(
        stage=stage,
        against=against,
        files=[
            DiffFile(path="concert/service.py", status="modified", additions=4, deletions=2, diff=text),
            DiffFile(path="concert/cache.py", status="added", additions=2, deletions=0,
                     diff='@@ -0,0 +1,2 @@\n+"""Pages <b>kept</b> in Redis & read back."""\n+TTL = 30\n'),
        ],
    )  # fmt: skip
