"""stages sync on real files and a real git repository: copy, merge, refuse, chain."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.errors import HarnessError
from harness.stages.write import Change, write_all
from tests.harness.test_stages_checkout import APP, STAGES, Checkout

FILE = "concert/app.py"
ONE, TWO, THREE = STAGES
FIXED = APP.replace("line_2 = 2", "line_2 = 'fixed'")


def _own(text: str, stage: str) -> str:
    """``text`` with a change that only the later stage has, far from line 2."""
    return text.replace("line_25 = 25", f"line_25 = '{stage}'")


@pytest.fixture
def identical(tmp_path: Path) -> Checkout:
    """Three stages that share every file, committed."""
    checkout = Checkout(tmp_path)
    checkout.commit()
    return checkout


@pytest.fixture
def modified(tmp_path: Path) -> Checkout:
    """02 modifies the file; 03 modifies it further; committed."""
    checkout = Checkout(tmp_path)
    checkout.manifest(TWO, ONE, modified=[FILE])
    checkout.manifest(THREE, TWO, modified=[FILE])
    checkout.write(TWO, FILE, _own(APP, "two"))
    checkout.write(THREE, FILE, _own(APP, "two") + "three = 3\n")
    checkout.commit()
    return checkout


def test_an_undeclared_file_is_copied_to_every_later_stage(
    identical: Checkout, capsys: pytest.CaptureFixture[str]
) -> None:
    identical.write(TWO, FILE, FIXED)
    before = identical.snapshot()
    assert identical.run("sync", "02", FILE) == 0
    assert identical.snapshot() == {**before, f"stages/{THREE}/{FILE}": FIXED.encode()}
    assert capsys.readouterr().out == f"{THREE} {FILE}: copied\n"


def test_a_new_file_and_a_deleted_one_travel_too(identical: Checkout) -> None:
    identical.write(ONE, "order/seats/rows.py", "rows = 1\n")
    identical.file(ONE, FILE).unlink()
    assert identical.run("sync", "1", "order/seats/rows.py", FILE) == 0
    for stage in (TWO, THREE):
        assert identical.read(stage, "order/seats/rows.py") == "rows = 1\n"
        # The package's only file is gone, and so is the folder that it left empty.
        assert not identical.file(stage, "concert").exists()


def test_a_declared_file_is_merged_from_stage_to_stage(modified: Checkout) -> None:
    modified.write(ONE, FILE, FIXED)
    assert modified.run("sync", "01", FILE) == 0
    assert modified.read(TWO, FILE) == _own(FIXED, "two")
    assert modified.read(THREE, FILE) == _own(FIXED, "two") + "three = 3\n"
    assert modified.run("check") == 0


def test_copy_and_merge_chain(tmp_path: Path) -> None:
    stages = (*STAGES, "04_scaleout", "05_queue")
    checkout = Checkout(tmp_path, stages)
    checkout.manifest(THREE, TWO, modified=[FILE])
    for stage in stages[2:]:
        checkout.write(stage, FILE, _own(APP, "three"))
    checkout.commit()
    checkout.write(ONE, FILE, FIXED)
    assert checkout.run("sync", "01", FILE) == 0
    assert checkout.read(TWO, FILE) == FIXED
    for stage in stages[2:]:
        assert checkout.read(stage, FILE) == _own(FIXED, "three")
    assert checkout.run("check") == 0


def test_a_second_sync_does_nothing(modified: Checkout, capsys: pytest.CaptureFixture[str]) -> None:
    modified.write(ONE, FILE, FIXED)
    assert modified.run("sync", "01", FILE) == 0
    after = modified.snapshot()
    capsys.readouterr()
    assert modified.run("sync", "01", FILE) == 0
    assert modified.snapshot() == after
    assert "Nothing to do" in capsys.readouterr().out


def test_a_fix_of_an_uncommitted_fix_merges_without_conflict(tmp_path: Path) -> None:
    # 02 holds the first sync's result, which is what 03 has taken in: the base for the second.
    checkout = Checkout(tmp_path)
    checkout.manifest(THREE, TWO, modified=[FILE])
    checkout.write(THREE, FILE, _own(APP, "three"))
    checkout.commit()
    checkout.write(ONE, FILE, FIXED)
    assert checkout.run("sync", "01", FILE) == 0
    again = FIXED.replace("'fixed'", "'fixed again'")
    checkout.write(ONE, FILE, again)
    assert checkout.run("sync", "01", FILE) == 0
    assert checkout.read(TWO, FILE) == again
    assert checkout.read(THREE, FILE) == _own(again, "three")


def test_a_conflict_is_shown_and_never_written(modified: Checkout, capsys: pytest.CaptureFixture[str]) -> None:
    modified.write(ONE, FILE, APP.replace("line_25 = 25", "line_25 = 'one'"))
    modified.write(ONE, "order/app.py", FIXED)
    before = modified.snapshot()
    assert modified.run("sync", "01", FILE, "order/app.py") == 1
    # What can be done is done; the file with the conflict is untouched everywhere.
    done = {f"stages/{stage}/order/app.py": FIXED.encode() for stage in (TWO, THREE)}
    assert modified.snapshot() == {**before, **done}
    out = capsys.readouterr().out
    assert f"{TWO} {FILE}: CONFLICT, left untouched: see below\n" in out
    assert f"{THREE} {FILE}: waits for the conflict, left untouched\n" in out
    assert f"{TWO} order/app.py: copied\n" in out
    hunk = [
        "<<<<<<< 02_cache",
        "line_25 = 'two'",
        "||||||| 01_baseline before",
        "line_25 = 25",
        "=======",
        "line_25 = 'one'",
        ">>>>>>> 01_baseline now",
    ]
    assert "\n".join(hunk) in out
    assert f"then: python -m harness stages sync 02 {FILE}" in out


def test_stages_before_a_conflict_are_done_and_it_is_not_forgotten(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path)
    checkout.manifest(THREE, TWO, modified=[FILE])
    checkout.write(THREE, FILE, APP.replace("line_2 = 2", "line_2 = 'three'"))
    checkout.commit()
    checkout.write(ONE, FILE, FIXED)
    before = checkout.read(THREE, FILE)
    # Twice: that 02 is up to date the second time must not make 03 look so.
    for _ in range(2):
        assert checkout.run("sync", "01", FILE) == 1
        assert checkout.read(TWO, FILE) == FIXED
        assert checkout.read(THREE, FILE) == before


def test_a_change_that_met_a_conflict_is_not_lost_behind_the_next_one(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path)
    checkout.manifest(THREE, TWO, modified=[FILE])
    checkout.write(THREE, FILE, APP.replace("line_2 = 2", "line_2 = 'three'"))
    checkout.commit()
    checkout.write(ONE, FILE, FIXED)
    assert checkout.run("sync", "01", FILE) == 1
    before = checkout.read(THREE, FILE)
    # The second edit alone would merge cleanly, and 03 would then look up to date without the first.
    checkout.write(ONE, FILE, FIXED.replace("line_20 = 20", "line_20 = 'second'"))
    assert checkout.run("sync", "01", FILE) == 1
    assert checkout.read(THREE, FILE) == before


def test_after_a_merge_by_hand_the_rest_follows(modified: Checkout) -> None:
    changed = APP.replace("line_25 = 25", "line_25 = 'one'")
    modified.write(ONE, FILE, changed)
    assert modified.run("sync", "01", FILE) == 1
    by_hand = APP.replace("line_25 = 25", "line_25 = 'one and two'")
    modified.write(TWO, FILE, by_hand)
    assert modified.run("sync", "02", FILE) == 0
    assert modified.read(THREE, FILE) == by_hand + "three = 3\n"


def test_deleting_what_a_later_stage_modifies_is_a_conflict(
    modified: Checkout, capsys: pytest.CaptureFixture[str]
) -> None:
    modified.file(ONE, FILE).unlink()
    before = modified.snapshot()
    assert modified.run("sync", "01", FILE) == 1
    assert modified.snapshot() == before
    assert f"CONFLICT, left untouched: {ONE} has it no longer, and it is modified here" in capsys.readouterr().out


def test_a_binary_file_is_not_merged(modified: Checkout, capsys: pytest.CaptureFixture[str]) -> None:
    for stage, content in ((ONE, b"\0one"), (TWO, b"\0two"), (THREE, b"\0two")):
        modified.file(stage, FILE).write_bytes(content)
    modified.commit()
    modified.file(ONE, FILE).write_bytes(b"\0new")
    assert modified.run("sync", "01", FILE) == 1
    assert modified.file(TWO, FILE).read_bytes() == b"\0two"
    assert "git cannot merge this file" in capsys.readouterr().out


def test_a_file_added_later_meets_a_new_one(identical: Checkout, capsys: pytest.CaptureFixture[str]) -> None:
    identical.manifest(TWO, ONE, added=["concert/cache.py"])
    identical.write(TWO, "concert/cache.py", "two = 2\n")
    identical.write(ONE, "concert/cache.py", "one = 1\n")
    assert identical.run("sync", "01", "concert/cache.py") == 1
    assert identical.read(TWO, "concert/cache.py") == "two = 2\n"
    assert f"{ONE} has it now: declare it modified" in capsys.readouterr().out


def test_a_file_removed_later_stays_away(identical: Checkout) -> None:
    identical.manifest(TWO, ONE, removed=[FILE])
    for stage in (TWO, THREE):
        identical.file(stage, FILE).unlink()
    identical.write(ONE, FILE, FIXED)
    assert identical.run("sync", "01", FILE) == 0
    assert not identical.file(TWO, FILE).exists()
    assert not identical.file(THREE, FILE).exists()


def test_a_committed_fix_needs_its_base(modified: Checkout, capsys: pytest.CaptureFixture[str]) -> None:
    modified.write(ONE, FILE, FIXED)
    modified.commit()
    assert modified.run("sync", "01", FILE) == 0
    assert "name an older one: --base REV" in capsys.readouterr().out
    assert modified.read(TWO, FILE) == _own(APP, "two")
    assert modified.run("sync", "01", FILE, "--base", "HEAD~1") == 0
    assert modified.read(TWO, FILE) == _own(FIXED, "two")
    assert modified.read(THREE, FILE) == _own(FIXED, "two") + "three = 3\n"


def test_without_git_copies_work_and_merges_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkout = Checkout(tmp_path)
    checkout.manifest(THREE, TWO, modified=[FILE])
    checkout.write(THREE, FILE, _own(APP, "three"))
    checkout.write(ONE, FILE, FIXED)
    checkout.write(TWO, FILE, FIXED)
    assert checkout.run("sync", "01", FILE) == 1
    assert "name a commit with --base REV" in capsys.readouterr().out
    checkout.write(ONE, "order/new.py", "x = 1\n")
    assert checkout.run("sync", "01", "order/new.py") == 0
    assert checkout.read(THREE, "order/new.py") == "x = 1\n"


def test_what_is_replaced_is_kept_in_git(identical: Checkout, capsys: pytest.CaptureFixture[str]) -> None:
    identical.write(TWO, FILE, "work that nobody declared or committed\n")
    identical.write(ONE, FILE, FIXED)
    assert identical.run("sync", "01", FILE) == 0
    found = re.search(r"git cat-file -p ([0-9a-f]{40,64})", capsys.readouterr().out)
    assert found is not None
    assert identical.git("cat-file", "-p", found[1]) == "work that nobody declared or committed\n"


def test_a_dry_run_writes_nothing(modified: Checkout, capsys: pytest.CaptureFixture[str]) -> None:
    modified.write(ONE, FILE, FIXED)
    before = modified.snapshot()
    assert modified.run("sync", "01", FILE, "--dry-run") == 0
    assert modified.snapshot() == before
    assert f"{TWO} {FILE}: would be merged" in capsys.readouterr().out


def test_a_folder_means_its_files(
    identical: Checkout, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    identical.write(ONE, "concert/api/list.py", "x = 1\n")
    identical.write(ONE, FILE, FIXED)
    identical.write(ONE, "order/app.py", FIXED)
    identical.write(ONE, "concert/__pycache__/app.pyc", "byte code")
    monkeypatch.chdir(identical.root)
    assert identical.run("sync", "01", f"stages/{ONE}/concert") == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{TWO} concert/api/list.py: copied",
        f"{THREE} concert/api/list.py: copied",
        f"{TWO} {FILE}: copied",
        f"{THREE} {FILE}: copied",
    ]
    assert identical.read(TWO, "order/app.py") == APP


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["01", "concert/ap.py"], f'{ONE} has no file "concert/ap.py", neither now nor in git.'),
        (["01", "../x.py"], f"../x.py is not in {ONE}."),
        (["01", "/etc/hostname"], f"/etc/hostname is not in {ONE}."),
        (["01", "README.md"], "Each stage has its own README.md"),
        (["01", ".env"], ".env is no part of a stage."),
        (["07", FILE], 'There is no stage "07".'),
        (["01", FILE, "--base", "nonsense"], 'git knows no commit "nonsense".'),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    identical: Checkout, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    before = identical.snapshot()
    assert identical.run("sync", *arguments) == 2
    assert capsys.readouterr().err.startswith(f"error: {message}")
    assert identical.snapshot() == before


def test_if_one_file_cannot_be_written_none_is(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("old")
    (tmp_path / "blocked").write_text("a file where a folder is needed")
    with pytest.raises(HarnessError, match="Cannot write"):
        write_all([Change(tmp_path, "a.py", b"new"), Change(tmp_path, "blocked/b.py", b"new")])
    assert (tmp_path / "a.py").read_text() == "old"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.py", "blocked"]


def test_the_mode_of_a_file_stays(identical: Checkout) -> None:
    identical.file(TWO, FILE).chmod(0o755)
    identical.write(ONE, FILE, FIXED)
    assert identical.run("sync", "01", FILE) == 0
    assert identical.file(TWO, FILE).stat().st_mode & 0o777 == 0o755
    assert identical.file(THREE, FILE).stat().st_mode & 0o777 == 0o644
