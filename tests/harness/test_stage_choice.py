"""``pytest --stages``: which stages are tested, and what a wrong one is told."""

from __future__ import annotations

import subprocess
import sys

import pytest

from harness.errors import HarnessError
from harness.stages.manifest import REPOSITORY, STAGES_ROOT, discover_stages
from tests.stage_choice import FOLDERS, chosen, ends, last

STAGES = discover_stages(STAGES_ROOT)
WITH_CACHE = [stage for stage in STAGES if "redis" in stage.infrastructure]


def test_by_default_whole_stages_are_tested_at_both_ends_and_improvements_where_they_are_last() -> None:
    assert chosen(None, "contract", STAGES) == [STAGES[0], STAGES[-1]]
    assert chosen(None, "cache", STAGES) == WITH_CACHE[-1:]
    assert chosen(None, "gateway", STAGES) == STAGES[:1]


def test_what_no_stage_has_changed_is_tested_on_the_last_unless_others_are_named() -> None:
    assert chosen(None, "contract", STAGES, ["user", "order/widget.py"]) == STAGES[-1:]
    assert chosen("all", "contract", STAGES, ["user"]) == STAGES
    assert chosen("01", "contract", STAGES, ["user"]) == STAGES[:1]


@pytest.mark.parametrize("changed", ["order/app.py", "gateway", "concert/api"])
def test_what_a_stage_has_changed_is_tested_as_the_rest_of_the_folder(changed: str) -> None:
    assert chosen(None, "contract", STAGES, ["user", changed]) == [STAGES[0], STAGES[-1]]


@pytest.mark.parametrize("nothing", ["usr", "order/app", "user/models.py/x"])
def test_tests_are_about_what_is_there(nothing: str) -> None:
    with pytest.raises(ValueError, match=nothing):
        chosen(None, "contract", STAGES, ["user", nothing])


def test_all_are_all_that_have_what_is_tested() -> None:
    assert chosen("all", "contract", STAGES) == STAGES
    assert chosen("all", "cache", STAGES) == WITH_CACHE != STAGES


def test_some_are_named_as_people_name_them_and_come_in_their_order() -> None:
    assert chosen("3, 01_base", "contract", STAGES) == [STAGES[0], STAGES[2]]
    assert chosen("01,02", "cache", STAGES) == [STAGES[1]]
    assert chosen("01", "cache", STAGES) == []


def test_one_stage_is_both_ends() -> None:
    assert ends(STAGES[:1]) == last(STAGES[:1]) == STAGES[:1]
    assert ends([]) == last([]) == []


@pytest.mark.parametrize("asked", ["", "9", "all,9", "01;02", "01,"])
def test_there_is_no_such_stage(asked: str) -> None:
    with pytest.raises(HarnessError, match="There is no stage"):
        chosen(asked, "contract", STAGES)


def test_every_folder_that_is_named_is_there() -> None:
    assert [name for name in FOLDERS if not (REPOSITORY / "tests" / name).is_dir()] == []


def test_a_wrong_stage_is_refused_in_a_sentence_before_anything_is_started() -> None:
    argv = [sys.executable, "-m", "pytest", "--stages", "02_cahce"]
    done = subprocess.run(argv, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    known = ", ".join(stage.id for stage in STAGES)
    said = f'There is no stage "02_cahce". Did you mean "02_cache"? Stages: {known}.'
    assert done.stderr.strip() == f"ERROR: --stages: {said}"
    assert done.stdout == ""
