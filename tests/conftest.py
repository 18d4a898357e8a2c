"""Real servers and real stages for the tests: started once, stopped whatever happens."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest
from xdist.workermanage import NodeManager  # type: ignore[import-untyped]

from harness.errors import HarnessError
from harness.provision import Component, Infrastructure, provision
from harness.stages.manifest import STAGES_ROOT, Stage, discover_stages, find_stage
from harness.supervise import Supervisor, sweep_leftovers
from tests import stage_choice
from tests.fork_server import ForkServer
from tests.recoveries import pytest_terminal_summary as pytest_terminal_summary

STAGES = discover_stages(STAGES_ROOT)

# Package names repeat in every stage: tests that import a stage's code see one stage a run, the first unless told.
TOLD = os.environ.get("FORTICKETS_STAGE")
STAGE_ON_PATH = find_stage(TOLD or STAGES[0].id)
sys.path.insert(0, str(STAGE_ON_PATH.folder))

# As many as keep two cores busy: three did for nine tenths of the time, two for eight. More have not been tried.
WORKERS = 3

# What takes longest begins first, so that the workers end at about the same time; the rest is short, and fills up.
LONGEST_FIRST = (
    "contract", "harness", "queue", "async_cancel", "faults", "scaleout", "seat_contention", "provision", "cache",
    "schemas",
)  # fmt: skip

EMPTIES = "empties_databases"
UNCHANGED = "unchanged_code"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("stages", "stages of the platform")
    group.addoption("--stages", metavar="STAGES", default=TOLD, help=stage_choice.HELP)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"{EMPTIES}: runs first of its folder, on a stage that others use after it.")
    config.addinivalue_line("markers", f"{UNCHANGED}(*paths): about these alone; run once while no stage changes them.")
    # At Ctrl-C, a worker stops the stages and servers it has started, and is not killed meanwhile.
    NodeManager.EXIT_TIMEOUT = 60
    try:
        stage_choice.asked_for(config.getoption("--stages"), STAGES)
    except HarnessError as error:
        raise pytest.UsageError(f"--stages: {error.message} {error.hint}") from None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each test that takes a ``stage``, itself or through a fixture, runs once for each of its folder's stages."""
    folder = _folders(metafunc.definition)[-1]
    if "stage" not in metafunc.fixturenames or folder not in stage_choice.FOLDERS:
        return
    about = metafunc.definition.get_closest_marker(UNCHANGED)
    paths = () if about is None else about.args
    stages = stage_choice.chosen(metafunc.config.getoption("--stages"), folder, STAGES, paths)
    none = pytest.param(None, id="none", marks=pytest.mark.skip(f"no stage of --stages has what tests/{folder} tests"))
    values = [pytest.param(stage, id=stage.id) for stage in stages]
    metafunc.parametrize("stage", values or [none], indirect=True, scope="package")


def _folders(item: pytest.Item) -> tuple[str, ...]:
    """The folders in which a test lies, from the repository's root."""
    return item.path.relative_to(item.config.rootpath).parts[:-1]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """``-n auto``, as the tests run by default: workers for folders, none where they help nobody.

    A file or a test starts sooner without; output (``-s``) is not shown, and nothing is timed, in a worker.
    """
    single = any(".py" in argument for argument in config.args) or config.option.keyword
    alone = single or config.option.capture == "no" or config.getoption("benchmark_enable", False)
    return 0 if alone else WORKERS


@pytest.hookimpl(tryfirst=True)  # before xdist looks at the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Groups for ``-n``: one worker runs all tests of a folder on one stage, as they share its running processes.

    A module whose tests share none of them with the rest of the folder is marked as an ``xdist_group`` of its own. What
    empties a stage's databases comes first: what others have made there would be gone, and still be in the caches.
    """
    groups: dict[str, list[pytest.Item]] = {}
    for item in items:
        stage = item.callspec.params.get("stage") if hasattr(item, "callspec") else None
        own = item.get_closest_marker("xdist_group")
        parts = [*_folders(item), *(own.args if own else ()), *([stage.id] if isinstance(stage, Stage) else ())]
        item.add_marker(pytest.mark.xdist_group("-".join(parts)))
        groups.setdefault("-".join(parts), []).append(item)
    items[:] = [item for group in sorted(groups, key=_turn) for item in sorted(groups[group], key=_keeps_data)]


def _keeps_data(item: pytest.Item) -> bool:
    return item.get_closest_marker(EMPTIES) is None


def _turn(group: str) -> int:
    folder = group.split("-")[1]
    return LONGEST_FIRST.index(folder) if folder in LONGEST_FIRST else len(LONGEST_FIRST)


@pytest.fixture(scope="session")
def supervisor() -> Iterator[Supervisor]:
    """Owns every process that the tests start."""
    sweep_leftovers()
    with ForkServer() as forks, Supervisor("tests", start=forks.start) as owner:
        yield owner


@pytest.fixture(scope="session")
def infrastructure(supervisor: Supervisor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Infrastructure]:
    """PostgreSQL for the whole session; what else a test needs, it ``ensure``s."""
    logs = tmp_path_factory.mktemp("servers")
    with provision("embedded", supervisor, log_folder=logs, report=print) as servers:
        servers.ensure(Component.POSTGRES)
        yield servers
