"""What the harness does to every request that it sends, and to the figures of a run."""

from __future__ import annotations

import random
from types import SimpleNamespace

from pytest_benchmark.fixture import BenchmarkFixture

from harness.load.recorder import Recorder
from harness.store.statistics import estimate, ratio

ANSWER = SimpleNamespace(status_code=200, url="http://127.0.0.1:12011/concert-service/schedules/17", text="{}")
REQUESTS = 10_000


def record(recorder: Recorder, latency_ms: float) -> None:
    recorder(request_type="GET", name="seat_lookup", response_time=latency_ms, exception=None, response=ANSWER)


def recorded() -> Recorder:
    """One that has seen latencies of 1 to 100 ms, each as often as the others."""
    recorder = Recorder(keep_every=REQUESTS)
    recorder.begin()
    for number in range(REQUESTS):
        record(recorder, 1 + number % 100)
    recorder.end()
    return recorder


def test_recording_a_request(benchmark: BenchmarkFixture) -> None:
    """In the load generator's one thread: what it costs there is missing from the load."""
    recorder = Recorder(keep_every=1_000_000)
    recorder.begin()
    benchmark(record, recorder, 12.5)
    recorder.end()
    samples = recorder.samples()
    assert len(samples) >= 1
    assert {(sample.latency_ms, sample.status) for sample in samples} == {(12.5, 200)}


def test_percentiles_of_ten_thousand_requests(benchmark: BenchmarkFixture) -> None:
    recorder = recorded()
    result = benchmark(recorder.result, [])
    assert result.outcomes == {"ok": REQUESTS}
    assert abs(result.p50_ms - 50) < 0.5
    assert abs(result.p99_ms - 99) < 0.5


def test_the_interval_of_a_median(benchmark: BenchmarkFixture) -> None:
    generator = random.Random(7)
    values = [generator.gauss(100, 5) for _ in range(30)]
    found = benchmark(estimate, values)
    assert found.method == "bootstrap95"
    assert 90 < found.low <= found.value <= found.high < 110


def test_the_interval_of_a_ratio(benchmark: BenchmarkFixture) -> None:
    generator = random.Random(7)
    against = [generator.gauss(100, 5) for _ in range(30)]
    found = benchmark(ratio, [2 * value for value in against], against)
    # Beside each other, the pairs all have one ratio.
    assert abs(found.low - 2) < 1e-9
    assert abs(found.high - 2) < 1e-9
