"""The public summary: strict, frozen, documented; and the raw samples beside it."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from harness.errors import HarnessError
from harness.store import schema
from harness.store.atomic import write_atomic
from harness.store.files import load_summary, save_summary
from harness.store.metrics import METRICS
from harness.store.samples import Sample, params_suffix, read_samples, sample_path, write_samples
from harness.store.summary import (
    Audit,
    Cost,
    Hypothesis,
    InstanceSize,
    Machine,
    Measurement,
    Ratio,
    Run,
    Stage,
    Summary,
)
from tests.harness.fake_runs import fake_summary

DOCUMENT = Path(__file__).parents[2] / "docs" / "summary-format.md"
SECTIONS: dict[str, type[BaseModel]] = {
    "Top level": Summary,
    "`run`": Run,
    "`run.machine`": Machine,
    "`run.instance_size`": InstanceSize,
    "`stages`": Stage,
    "`stages[].hypotheses`": Hypothesis,
    "`measurements`": Measurement,
    "`ratios`": Ratio,
    "`costs`": Cost,
    "`audits`": Audit,
}
FROZEN = {
    Summary: "version run stages measurements ratios costs audits",
    Run: "id started seconds profile machine provider instance_size arguments seed settings caveats",
    Machine: "cpu_model cores memory_bytes kernel python versions",
    InstanceSize: "requested applied components",
    Stage: "id title improvement cpu_budget hypotheses",
    Hypothesis: "id scenario metric against at_least at_most why",
    Measurement: "stage scenario params metric unit values median low high n method valid limited_by",
    Ratio: "hypothesis scenario params metric stage against ratio low high verdict",
    Cost: "stage scenario params component cpu_us_per_request",
    Audit: "stage scenario params rule violations declared",
}


def _written(path: Path, change: Callable[[dict[str, Any]], object] = lambda data: None) -> Path:
    data = json.loads(fake_summary(2, 2).model_dump_json())
    change(data)
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


def test_a_summary_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    summary = fake_summary()
    save_summary(summary, tmp_path / "deep" / "summary.json")
    assert load_summary(tmp_path / "deep" / "summary.json") == summary
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["summary.json"]


def test_params_keep_their_types(tmp_path: Path) -> None:
    params = {"buyers": 5000, "load": 0.5, "fault": "kill:order@10s", "exact": True}
    summary = fake_summary(1, 1)
    cell = summary.measurements[0].model_copy(update={"params": params})
    save_summary(summary.model_copy(update={"measurements": [cell]}), tmp_path / "summary.json")
    found = load_summary(tmp_path / "summary.json").measurements[0].params
    assert {name: type(value) for name, value in found.items()} == {name: type(value) for name, value in params.items()}
    assert found == params


def test_fields_of_a_later_writer_are_passed_over(tmp_path: Path) -> None:
    path = _written(tmp_path / "summary.json", lambda data: data["run"].update(weather="rain"))
    assert load_summary(path) == fake_summary(2, 2)


def _drop_version(data: dict[str, Any]) -> None:
    del data["version"]


def _drop_started(data: dict[str, Any]) -> None:
    del data["run"]["started"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: data.update(version=2), "has version 2, and this harness reads version 1 only"),
        (lambda data: data.update(version="1"), 'has version "1", and this harness'),
        (lambda data: data.update(version=True), "has version true"),
        (_drop_version, "it has no version"),
        (_drop_started, "run.started: Field required"),
        (
            lambda data: data["run"].update(started="2026-11-23T14:57:39"),
            "run.started: Input should have timezone info",
        ),
        (lambda data: data["run"].update(seconds="842"), "run.seconds: Input should be a valid number"),
        (lambda data: data["measurements"][0].update(n=7), "n must be the number of values"),
        (lambda data: data["measurements"][0].update(median=1e9), "low <= median <= high must hold"),
        (lambda data: data["measurements"][0].update(values=[]), "measurements.0.values: List should have at least 1"),
        (lambda data: data["measurements"][0].update(method="guess"), "measurements.0.method: Input should be"),
        (lambda data: data["audits"][0].update(violations=-1), "audits.0.violations: Input should be greater than"),
        (lambda data: data["stages"][1]["hypotheses"][0].update(at_most=1.0), "exactly one of at_least and at_most"),
        (lambda data: data["costs"][0].update(cpu_us_per_request=float("nan")), "costs.0.cpu_us_per_request"),
    ],
)
def test_a_broken_summary_is_refused_in_one_sentence(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], said: str
) -> None:
    with pytest.raises(HarnessError) as raised:
        load_summary(_written(tmp_path / "summary.json", change))
    assert said in raised.value.message
    assert "\n" not in raised.value.message
    assert raised.value.hint


@pytest.mark.parametrize("content", ["", "{", '{"version": 1', "[1, 2]", "null", '"text"'])
def test_what_is_no_summary_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "summary.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(HarnessError, match=r"is not valid JSON|it has no version"):
        load_summary(path)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(HarnessError, match="is not valid JSON"):
        load_summary(path)


def test_a_missing_summary_is_named(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match=r"Cannot read .*summary\.json: No such file"):
        load_summary(tmp_path / "summary.json")


def test_records_do_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        setattr(fake_summary(1, 1).run, "id", "other")  # noqa: B010, mypy knows that it is read-only


def test_only_an_undeclared_violation_turns_a_run_red() -> None:
    summary = fake_summary(1, 1)
    audit = summary.audits[0]
    for violations, declared, ok in ((0, False, True), (2, True, True), (2, False, False)):
        changed = audit.model_copy(update={"violations": violations, "declared": declared})
        assert summary.model_copy(update={"audits": [changed]}).audit_ok is ok


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomic(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_atomic(path, "\ud800")
    assert path.read_text(encoding="utf-8") == "old"
    blocked = path / "below"
    with pytest.raises(HarnessError, match="Cannot write"):
        write_atomic(blocked, "new")
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_the_committed_schema_is_that_of_the_models() -> None:
    assert schema.PATH.read_text(encoding="utf-8") == schema.schema_text(), (
        "the public format changed; if only optional fields were added, run `python -m harness.store.schema`"
    )


@pytest.mark.parametrize(("model", "names"), FROZEN.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_no_field_of_version_1_is_renamed_or_removed(model: type[BaseModel], names: str) -> None:
    assert set(names.split()) <= set(model.model_fields)


@pytest.mark.parametrize("heading", SECTIONS)
def test_every_field_is_documented_and_nothing_else(heading: str) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    section = re.split(r"^#+ ", text.split(f"# {heading}\n", 1)[1], flags=re.MULTILINE)[0]
    table = section.split("| metric |")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE) == list(SECTIONS[heading].model_fields)


def test_every_metric_is_documented() -> None:
    text = DOCUMENT.read_text(encoding="utf-8").split("| metric | unit | meaning |")[1].split("## ")[0]
    assert set(re.findall(r"`(\w+)`", text)) == set(METRICS)


samples = st.lists(
    st.builds(
        Sample,
        started_s=st.integers(-600_000, 6_000_000).map(lambda value: value / 10_000),
        latency_ms=st.integers(0, 10_000_000).map(lambda value: value / 1_000),
        name=st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=20),
        status=st.integers(0, 599),
        outcome=st.sampled_from(["ok", "refused", "HTTP 503, code 5000", 'a "quoted" one']),
    ),
    max_size=20,
)


@settings(max_examples=60, deadline=None)
@given(samples)
def test_samples_are_read_back_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, given: list[Sample]
) -> None:
    path = tmp_path_factory.mktemp("samples") / "r1.csv.gz"
    assert write_samples(path, given) == len(given)
    assert list(read_samples(path)) == given


def test_the_same_samples_give_the_same_bytes(tmp_path: Path) -> None:
    given = [Sample(0.5, 12.25, "list", 200, "ok")]
    write_samples(tmp_path / "one", given)
    write_samples(tmp_path / "two", iter(given))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert gzip.decompress((tmp_path / "one").read_bytes()) == (
        b"started_s,latency_ms,name,status,outcome\n0.5000,12.250,list,200,ok\n"
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (gzip.compress(b"a,b\n"), "line 1: the header is not"),
        (
            gzip.compress(b"started_s,latency_ms,name,status,outcome\n1,2,x,200,ok\n1,2,x\n"),
            "line 3: not enough values",
        ),
        (gzip.compress(b"started_s,latency_ms,name,status,outcome\n1,2,x,two,ok\n"), "line 2: invalid literal"),
        (b"no gzip", "Not a gzipped file"),
        (gzip.compress(b"started_s,latency_ms,name,status,outcome\n" * 50)[:-12], "Cannot read the samples"),
    ],
    # gzip writes down the time, and workers must find the same tests.
    ids=["header", "short line", "no number", "no gzip", "cut off"],
)
def test_broken_samples_are_named(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "r1.csv.gz"
    path.write_bytes(content)
    with pytest.raises(HarnessError, match=re.escape(said)):
        list(read_samples(path))


def test_where_samples_lie() -> None:
    run = Path("reports/x")
    assert sample_path(run, "01_baseline", "noop", {}, 1) == run / "samples/01_baseline/noop/r1.csv.gz"
    path = sample_path(run, "04", "one_seat", {"replicas": 2, "buyers": 5000}, 3)
    assert path == run / "samples/04/one_seat-buyers=5000-replicas=2/r3.csv.gz"
    assert "/" not in params_suffix({"fault": "kill:order@10s/../x"})
