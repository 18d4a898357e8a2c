"""``run_all.py up STAGE``: one stage to look at, until Ctrl-C."""

from __future__ import annotations

import json
import os
import shutil
import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from common.identity import User
from common.tokens import issue_token
from harness.errors import HarnessError
from harness.launch import RunningStage, Secrets, launch
from harness.launch.environment import DATABASES
from harness.launch.ports import Ports
from harness.launch.running import check_ports
from harness.provision import Component, create_database, drop_database, provision
from harness.run.cell import PASSWORD, seed
from harness.run.folder import new_folder
from harness.run.options import REPORTS, ProviderName
from harness.run.progress import Narrator
from harness.stages.manifest import Stage
from harness.supervise import Interrupted, Supervisor, sweep_leftovers
from scenarios.dataset import Dataset
from scenarios.model import CellState, Load, Scenario
from scenarios.plan import LoadPlan

_POLL_SECONDS = 0.2
# Longer than anybody looks at a stage in one sitting, so that a demo does not end in "login required".
TOKEN_SECONDS = 24 * 60 * 60
PLAN_WARM_UP_SECONDS, PLAN_SECONDS = 2.0, 30.0


@dataclass(frozen=True)
class UpOptions:
    """Which stage is started, where, and what is written down about it."""

    stage: Stage
    ports: Ports
    provider: ProviderName
    dataset: Dataset
    json_file: Path | None = None
    load_plan: tuple[Scenario, Path] | None = None


def up(options: UpOptions, narrator: Narrator) -> None:
    """Starts the stage, seeds it, says where it is, and follows its logs until it is interrupted.

    Raises:
        HarnessError: it cannot be started, or a process of it ended.
    """
    check_ports(options.stage, options.ports)
    if options.load_plan is not None:
        _closed_loop(options.load_plan[0])
    for file in filter(None, (options.json_file, options.load_plan[1] if options.load_plan else None)):
        _write_private(file, "")
    for sentence in sweep_leftovers():
        narrator.say(sentence)
    # Kept if the stage fails, since the error names them; otherwise they have been shown, and are removed.
    logs = new_folder(REPORTS, f"up-{options.stage.id}", datetime.now(UTC)) / "logs"
    with ExitStack() as stack:
        supervisor = stack.enter_context(Supervisor(f"up {options.stage.id}"))
        infrastructure = stack.enter_context(
            provision(options.provider, supervisor, log_folder=logs / "servers", report=narrator.say)
        )
        infrastructure.ensure(*(Component(name) for name in options.stage.infrastructure))
        urls = {}
        for package, name in DATABASES.items():
            database = f"ft_{supervisor.run_id.rpartition('-')[2]}_{name}"
            urls[package] = create_database(infrastructure, database)
            if options.provider == "external":
                stack.callback(drop_database, infrastructure, database)
        running = stack.enter_context(
            launch(
                options.stage,
                infrastructure,
                supervisor,
                database_urls=urls,
                secrets=Secrets(),
                log_folder=logs,
                ports=options.ports,
                report=narrator.say,
            )
        )
        state = seed(running, options.dataset)
        description = _describe(running, options.dataset)
        _show(description, narrator)
        if options.json_file is not None:
            _write_private(options.json_file, json.dumps(description, indent=2) + "\n")
            narrator.say(f"Written to {options.json_file}")
        if options.load_plan is not None:
            _save_plan(options.load_plan, state, narrator)
        narrator.say("Ctrl-C stops everything. The logs follow.")
        try:
            _follow(running, logs)
        except Interrupted:
            narrator.say("Stopping")
    shutil.rmtree(logs.parent)


def _describe(running: RunningStage, dataset: Dataset) -> dict[str, object]:
    """URLs, accounts and tokens, as ``--json`` writes them."""

    def account(user: User) -> dict[str, object]:
        token = issue_token(user, running.secrets.jwt, lifetime_seconds=TOKEN_SECONDS)
        return {"userId": user.user_id, "email": user.email, "password": PASSWORD, "token": token}

    servers = running.infrastructure
    kafka = (
        {"kafka": {"bootstrap": servers.kafka_bootstrap, "prefix": f"{running.prefix}."}}
        if Component.KAFKA in running.stage.infrastructure
        else {}
    )
    return {
        "stage": running.stage.id,
        "gateway": running.gateway_url,
        "services": {name: url for name, url in running.service_urls.items() if name != "gateway"},
        "accounts": {
            "buyer": account(dataset.buyer),
            "seller": account(dataset.seller),
            "manager": account(dataset.manager),
        },
        "sellerCode": running.secrets.seller_code,
        "managerCode": running.secrets.manager_code,
        **kafka,
    }


def _show(description: dict[str, object], narrator: Narrator) -> None:
    services, accounts = description["services"], description["accounts"]
    assert isinstance(services, dict)
    assert isinstance(accounts, dict)
    gateway = description["gateway"]
    narrator.say(f"\n{description['stage']} is up")
    narrator.say(f"  gateway  {gateway}")
    for name, url in services.items():
        narrator.say(f"  {name:<8} {url}")
    narrator.say(f"\nAccounts (password {PASSWORD}):")
    for role, account in accounts.items():
        narrator.say(f"  {role:<8} {account['email']}\n           {account['token']}")
    narrator.say(f'\nTry: curl -H "Authorization: Bearer $TOKEN" "{gateway}/concert-service/concerts?size=3"\n')


def _closed_loop(scenario: Scenario) -> Load:
    """The load that Locust can drive by itself.

    Raises:
        HarnessError: the scenario has none.
    """
    load = next((variant.load for variant in scenario.variants if variant.load.shape == "closed"), None)
    if load is None:
        raise HarnessError(
            f"{scenario.id} has no closed loop, and Locust by itself drives no other.",
            f"Measure it: run_all.py --scenarios {scenario.id}",
        )
    return load


def _save_plan(wanted: tuple[Scenario, Path], state: CellState, narrator: Narrator) -> None:
    scenario, file = wanted
    load = _closed_loop(scenario)
    plan = LoadPlan(
        scenario=scenario.id,
        host=state.gateway_url,
        shape=load.shape,
        users=load.users,
        warm_up_seconds=PLAN_WARM_UP_SECONDS,
        seconds=PLAN_SECONDS,
        seed=1,
        tokens=list(state.tokens),
        data=dict(scenario.prepare(state)),
    )
    plan.save(file)
    locustfile = f"scenarios/{scenario.id}/locustfile.py"
    narrator.say(f"Try: FORTICKETS_LOAD_PLAN={file} uv run locust -f {locustfile} --host {plan.host}")


def _write_private(file: Path, text: str) -> None:
    """For the owner's eyes only: it holds tokens and codes."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    except OSError as problem:
        raise HarnessError(f"{file} cannot be written: {problem.strerror}.", "Choose another file.") from problem
    with os.fdopen(descriptor, "w") as handle:
        handle.write(text)


def _follow(running: RunningStage, logs: Path) -> None:
    """Prints what the processes log, each line with its process's name, until a process ends or a signal comes."""
    open_logs: dict[Path, TextIO] = {}
    try:
        while True:
            running.require_alive()
            for log in sorted(logs.glob("*.log")):
                if log not in open_logs:
                    open_logs[log] = log.open()
                for line in open_logs[log]:
                    print(f"{log.stem:<10} {line}", end="", flush=True)
            time.sleep(_POLL_SECONDS)
    finally:
        for handle in open_logs.values():
            handle.close()
