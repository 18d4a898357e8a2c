"""stages check: every rule, broken once in a small tree, is reported as one line."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from harness.stages.check import check
from harness.stages.diff import folder_diff
from tests.harness.test_stages_checkout import APP, STAGES, Checkout


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path, STAGES[:2])


def _lines(checkout: Checkout) -> list[str]:
    return [str(finding) for finding in check(checkout.root).findings]


def _numbered(count: int, start: int = 1000) -> str:
    return "".join(f"new_{number} = {number}\n" for number in range(start, start + count))


def test_a_changed_file_must_be_named(checkout: Checkout) -> None:
    checkout.write("02_cache", "concert/app.py", APP + "x = 1\n")
    assert _lines(checkout) == [
        "02_cache concert/app.py: differs from 01_baseline, but [changes] does not name it "
        "(run: python -m harness stages sync 01 concert/app.py)"
    ]


def test_one_changed_byte_is_a_difference(checkout: Checkout) -> None:
    checkout.write("02_cache", "concert/app.py", APP.removesuffix("\n"))
    assert len(_lines(checkout)) == 1


def test_a_new_file_must_be_named(checkout: Checkout) -> None:
    checkout.write("02_cache", "concert/cache.py", "x = 1\n")
    assert _lines(checkout) == [
        "02_cache concert/cache.py: is not in 01_baseline, but [changes] does not name it (as added)"
    ]


def test_a_missing_file_must_be_named(checkout: Checkout) -> None:
    checkout.write("01_baseline", "concert/pages.py", "x = 1\n")
    assert _lines(checkout) == [
        "02_cache concert/pages.py: is missing here but in 01_baseline, and [changes] does not name it "
        "(run: python -m harness stages sync 01 concert/pages.py)"
    ]


@pytest.mark.parametrize(
    ("said", "path", "truth"),
    [
        ("modified", "concert/app.py", "it is identical to 01_baseline's"),
        ("added", "concert/app.py", "it is identical to 01_baseline's"),
        ("removed", "concert/app.py", "it is identical to 01_baseline's"),
        ("modified", "concert/ghost.py", "there is no such file here or in 01_baseline"),
        ("added", "concert/ghost.py", "there is no such file here or in 01_baseline"),
        ("removed", "concert/ghost.py", "there is no such file here or in 01_baseline"),
        ("added", "order/app.py", "it is in 01_baseline too and differs (so it is modified)"),
        ("removed", "order/app.py", "it is in 01_baseline too and differs (so it is modified)"),
        ("modified", "order/new.py", "it is not in 01_baseline (so it is added)"),
        ("removed", "order/new.py", "it is not in 01_baseline (so it is added)"),
        ("modified", "order/old.py", "it is only in 01_baseline (so it is removed)"),
        ("added", "order/old.py", "it is only in 01_baseline (so it is removed)"),
    ],
)
def test_what_changes_says_must_be_true(checkout: Checkout, said: str, path: str, truth: str) -> None:
    checkout.write("02_cache", "order/app.py", APP + "x = 1\n")
    checkout.write("02_cache", "order/new.py", "x = 1\n")
    checkout.write("01_baseline", "order/old.py", "x = 1\n")
    right = {"order/app.py": "modified", "order/new.py": "added", "order/old.py": "removed"}
    named = {**right, path: said}
    lists = {kind: [p for p, k in named.items() if k == kind] for kind in ("added", "modified", "removed")}
    checkout.manifest(
        "02_cache", "01_baseline", added=lists["added"], modified=lists["modified"], removed=lists["removed"]
    )
    assert _lines(checkout) == [f"02_cache {path}: [changes] names it as {said}, but {truth}"]


def test_at_most_150_lines_change_in_a_file_that_existed(checkout: Checkout) -> None:
    checkout.manifest("02_cache", "01_baseline", modified=["concert/app.py"])
    checkout.write("02_cache", "concert/app.py", APP + _numbered(150))
    assert _lines(checkout) == []
    # One line replaced is one deletion and one insertion.
    checkout.write("02_cache", "concert/app.py", APP.replace("line_1 = 1\n", "line_1 = 2\n") + _numbered(149))
    assert _lines(checkout) == [
        "02_cache concert/app.py: 151 changed lines (+150 -1), at most 150 in a file that existed"
    ]


def test_a_new_module_has_about_200_lines(checkout: Checkout) -> None:
    checkout.manifest("02_cache", "01_baseline", added=["concert/cache.py"])
    checkout.write("02_cache", "concert/cache.py", _numbered(200))
    assert _lines(checkout) == []
    checkout.write("02_cache", "concert/cache.py", _numbered(201))
    assert _lines(checkout) == ["warning: 02_cache concert/cache.py: a new file of 201 lines; about 200 is meant"]
    assert check(checkout.root).violations == []
    assert checkout.run("check") == 0
    checkout.write("02_cache", "concert/cache.py", _numbered(251))
    assert _lines(checkout) == ["02_cache concert/cache.py: a new file of 251 lines, at most 250"]


@pytest.mark.parametrize(("stage", "budget"), [("02_a", 500), ("03_a", 700), ("04_a", 900), ("05_a", 1500)])
def test_a_stage_has_a_budget_of_changed_lines(tmp_path: Path, stage: str, budget: int) -> None:
    checkout = Checkout(tmp_path, ["01_baseline", stage])
    sizes = [200] * (budget // 200) + [budget % 200]
    added = [f"concert/new_{number}.py" for number in range(len(sizes))]
    for path, size in zip(added, sizes, strict=True):
        checkout.write(stage, path, _numbered(size))
    checkout.manifest(stage, "01_baseline", added=added)
    assert _lines(checkout) == []
    checkout.write(stage, added[-1], _numbered(sizes[-1] + 1))
    (line,) = _lines(checkout)
    assert line.startswith(
        f"{stage} in all: {budget + 1} changed lines, at most {budget} (largest: concert/new_0.py 200"
    )


def test_readme_migrations_and_templates_are_not_counted(checkout: Checkout) -> None:
    added = ["concert/migrations/versions/0002_x.py", "gateway/templates/wait.html"]
    checkout.manifest("02_cache", "01_baseline", added=added)
    for path in (*added, "README.md"):
        checkout.write("02_cache", path, _numbered(600))
    outcome = check(checkout.root)
    assert outcome.findings == ()
    diff = outcome.rows[1].diff
    assert diff is not None
    assert diff.counted_lines == 0
    assert diff.additions > 1800


def test_byte_code_and_dotfiles_are_ignored(checkout: Checkout) -> None:
    for path in ("concert/__pycache__/app.cpython-311.pyc", ".env", "concert/.cache/x.py", "order/old.pyc"):
        checkout.write("02_cache", path, "x\n")
    assert _lines(checkout) == []


def test_a_symbolic_link_is_no_copy(checkout: Checkout) -> None:
    file = checkout.file("02_cache", "concert/app.py")
    file.unlink()
    file.symlink_to(checkout.file("01_baseline", "concert/app.py"))
    assert "02_cache concert/app.py: is a symbolic link; a stage holds copies" in _lines(checkout)


def test_the_chain_of_stages_has_no_gap(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path)
    checkout.manifest("03_async_cancel", "01_baseline")
    assert _lines(checkout) == ['03_async_cancel stage.toml: previous must be "02_cache"; found "01_baseline"']
    checkout.manifest("03_async_cancel", "02_cash")
    assert _lines(checkout) == ['03_async_cancel stage.toml: previous must be "02_cache"; found "02_cash"']


def test_two_stages_with_one_number(tmp_path: Path) -> None:
    assert _lines(Checkout(tmp_path, ["01_baseline", "02_a", "02_b"])) == [
        "02_b stage.toml: another stage has the number 02 too"
    ]


def test_a_hypothesis_is_against_an_earlier_stage(checkout: Checkout) -> None:
    hypothesis = '[[hypothesis]]\nid = "h"\nscenario = "cancel"\nmetric = "mean_ms"\nat_most = 0.05\nwhy = "w"\n'
    checkout.manifest("02_cache", "01_baseline", extra=f'{hypothesis}against = "02_cache"\n')
    assert _lines(checkout) == [
        '02_cache stage.toml: hypothesis "h": against must be one of 01_baseline; found "02_cache"'
    ]


def test_every_stage_has_the_four_packages_and_services(checkout: Checkout) -> None:
    for stage in ("01_baseline", "02_cache"):
        checkout.file(stage, "order/app.py").unlink()
    manifest = checkout.read("02_cache", "stage.toml")
    checkout.write("02_cache", "stage.toml", manifest.replace("[services.user]\n", ""))
    missing = "order: the package is missing; every stage holds gateway, user, concert, order"
    assert _lines(checkout) == [
        f"01_baseline {missing}",
        f"02_cache {missing}",
        "02_cache stage.toml: [services.user] is missing; a stage runs all four services",
    ]


def test_a_worker_names_a_module_that_is_there(checkout: Checkout) -> None:
    checkout.manifest("02_cache", "01_baseline", extra='[workers.c]\nmodule = "order.app"\n')
    assert _lines(checkout) == []
    checkout.manifest("02_cache", "01_baseline", extra='[workers.c]\nmodule = "order.consumer"\n')
    assert _lines(checkout) == ['02_cache stage.toml: workers.c.module names "order.consumer", which is not there']


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ('if stage == "02_cache":', "02_cache"),
        ('path = "stages/" + name', "stages/"),
        ('path = f"{root}/stages/05_queue/x"', "stages/05_"),
    ],
)
def test_common_mentions_no_stage(checkout: Checkout, line: str, found: str) -> None:
    common = checkout.root / "common"
    common.mkdir()
    (common / "settings.py").write_text(f'ROUTE = "/stages/{{id}}"  # a venue\nbackstages/1\n{line}\n')
    assert _lines(checkout) == [f'common settings.py:3: mentions "{found}"; what a stage changes lives in the stage']


def test_everything_is_reported_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkout = Checkout(tmp_path)
    checkout.write("01_baseline", "stage.toml", 'id = "01_baseline"\n')
    checkout.write("02_cache", "concert/app.py", APP + "x = 1\n")
    checkout.write("03_async_cancel", "order/new.py", "x = 1\n")
    assert checkout.run("check") == 1
    lines = capsys.readouterr().out.splitlines()
    assert '01_baseline stage.toml: key "title" is missing' in lines
    # 03 is compared with 02, whose change it lacks, although the first stage's manifest is broken.
    assert [line.split(":")[0] for line in lines if "[changes]" in line] == [
        "02_cache concert/app.py",
        "03_async_cancel concert/app.py",
        "03_async_cancel order/new.py",
    ]
    assert lines[-1] == f"{len(lines) - 1} violations"


def test_lines_are_counted_as_git_counts_them(checkout: Checkout) -> None:
    new = APP.replace("line_3 = 3\n", "").replace("line_9 = 9", "line_9 = 10\nextra = 1") + "-- sql\n++ more"
    checkout.write("02_cache", "concert/app.py", new)
    stages = checkout.root / "stages"
    numstat = subprocess.run(
        ["git", "diff", "--no-index", "--numstat", "01_baseline/concert/app.py", "02_cache/concert/app.py"],
        cwd=stages,
        capture_output=True,
        text=True,
        check=False,
    )
    (file,) = (f for f in folder_diff(stages / "01_baseline", stages / "02_cache").files if f.path == "concert/app.py")
    assert numstat.stdout.split()[:2] == [str(file.additions), str(file.deletions)] == ["4", "2"]
