"""The broker's jars: fetched once, whole and right, however often a download is broken off."""

from __future__ import annotations

import shutil
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.errors import HarnessError
from harness.provision.kafka_jars import cache_folder, kafka_jars
from harness.provision.kafka_lock import KAFKA_VERSION, LockedJar, read_lock

ALL = read_lock()
SOME = sorted(ALL, key=lambda jar: jar.size)[:5]


@pytest.fixture(scope="module")
def shelf() -> Path:
    """The user's real jars; they are fetched if this machine has none yet."""
    kafka_jars(print)
    return cache_folder() / "jars"


class Courier:
    """Brings jars from the shelf; may lose heart, or bring something else."""

    def __init__(self, shelf: Path) -> None:
        self.shelf = shelf
        self.brought: list[str] = []
        self.strength = sys.maxsize
        self.addition = b""

    def __call__(self, jar: LockedJar, folder: Path) -> Path:
        target = folder / "download.jar"
        if len(self.brought) == self.strength:
            # As a killed download: half of it is there.
            target.write_bytes((self.shelf / jar.file_name).read_bytes()[: jar.size // 2])
            raise ConnectionResetError(104, "Connection reset by peer")
        shutil.copy(self.shelf / jar.file_name, target)
        with target.open("ab") as file:
            file.write(self.addition)
        self.brought.append(jar.file_name)
        return target


def _never(jar: LockedJar, folder: Path) -> Path:
    raise AssertionError(f"{jar.file_name} is fetched although it is there")


def test_the_lock_file_names_the_whole_broker() -> None:
    assert len({jar.file_name for jar in ALL}) == len(ALL) == 45
    assert (ALL[0].artifact, ALL[0].version) == ("kafka_2.13", KAFKA_VERSION)
    assert all(len(jar.sha256) == 64 for jar in ALL)


def test_a_cold_cache_is_filled_with_progress_and_then_left_alone(tmp_path: Path, shelf: Path) -> None:
    said: list[str] = []
    jars = kafka_jars(said.append, folder=tmp_path / "jars", jars=SOME, fetch=Courier(shelf))
    assert [path.name for path in jars] == [jar.file_name for jar in SOME]
    assert sorted(path.name for path in (tmp_path / "jars").iterdir()) == sorted(path.name for path in jars)
    assert said[0].startswith(f"Fetching Apache Kafka {KAFKA_VERSION}: 5 jars, ")
    assert said[-1].startswith("Fetched 5 of 5 jars, ")
    said.clear()
    assert kafka_jars(said.append, folder=tmp_path / "jars", jars=SOME, fetch=_never) == jars
    assert said == []


def test_a_warm_cache_does_not_even_import_jgo(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "jgo"]:
        monkeypatch.delitem(sys.modules, name)
    kafka_jars(print)
    assert "jgo" not in sys.modules


def test_an_interrupted_download_goes_on_where_it_stopped(tmp_path: Path, shelf: Path) -> None:
    courier = Courier(shelf)
    courier.strength = 2
    with pytest.raises(
        HarnessError, match=r"cannot be fetched from Maven Central: .*Connection reset by peer"
    ) as caught:
        kafka_jars(print, folder=tmp_path / "jars", jars=SOME, fetch=courier)
    assert SOME[2].file_name in caught.value.message
    assert "what is fetched already is kept" in caught.value.hint
    again = Courier(shelf)
    jars = kafka_jars(print, folder=tmp_path / "jars", jars=SOME, fetch=again)
    assert again.brought == [jar.file_name for jar in SOME[2:]]
    assert all(jar.matches(path) for jar, path in zip(SOME, jars, strict=True))


def test_what_a_killed_download_left_is_cleared_away(tmp_path: Path, shelf: Path) -> None:
    rest = tmp_path / "jars" / "partial-of-a-dead-run"
    rest.mkdir(parents=True)
    (rest / "half.jar").write_bytes(b"half")
    kafka_jars(print, folder=tmp_path / "jars", jars=SOME, fetch=Courier(shelf))
    assert not rest.exists()


@pytest.mark.parametrize("damage", ["cut", "one byte", "empty"])
def test_a_damaged_jar_is_noticed_and_fetched_again(tmp_path: Path, shelf: Path, damage: str) -> None:
    jars = kafka_jars(print, folder=tmp_path / "jars", jars=SOME, fetch=Courier(shelf))
    whole = jars[3].read_bytes()
    changed = whole[:100] + bytes([whole[100] ^ 1]) + whole[101:]
    jars[3].write_bytes({"cut": whole[:50], "one byte": changed, "empty": b""}[damage])
    courier = Courier(shelf)
    kafka_jars(print, folder=tmp_path / "jars", jars=SOME, fetch=courier)
    assert courier.brought == [SOME[3].file_name]
    assert SOME[3].matches(jars[3])


def test_a_file_that_is_not_the_locked_one_is_refused(tmp_path: Path, shelf: Path) -> None:
    courier = Courier(shelf)
    courier.addition = b"and something else"
    with pytest.raises(HarnessError, match=r"is not the file that kafka\.lock names"):
        kafka_jars(print, folder=tmp_path / "jars", jars=SOME, fetch=courier)
    assert list((tmp_path / "jars").iterdir()) == []


def test_two_runs_with_a_cold_cache_fetch_each_jar_once(tmp_path: Path, shelf: Path) -> None:
    courier = Courier(shelf)
    with ThreadPoolExecutor(4) as pool:
        results = [pool.submit(kafka_jars, print, folder=tmp_path / "jars", jars=SOME, fetch=courier) for _ in range(4)]
    assert [len(result.result()) for result in results] == [5] * 4
    assert sorted(courier.brought) == sorted(jar.file_name for jar in SOME)


def test_a_run_that_is_being_stopped_fetches_no_more(tmp_path: Path, shelf: Path) -> None:
    courier = Courier(shelf)
    with pytest.raises(HarnessError, match="broken off"):
        kafka_jars(
            print, folder=tmp_path / "jars", jars=SOME, fetch=courier, given_up=lambda: len(courier.brought) == 2
        )
    assert len(courier.brought) == 2


def test_without_a_network_one_sentence_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nowhere = f"http://127.0.0.1:{closed.getsockname()[1]}"
    for variable in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(variable, nowhere)
    for variable in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(HarnessError, match="cannot be fetched from Maven Central") as caught:
        kafka_jars(print, folder=tmp_path / "jars", jars=SOME)
    assert "needs the network" in caught.value.hint
    assert "\n" not in caught.value.message
