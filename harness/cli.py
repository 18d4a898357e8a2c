"""The command line of ``run_all.py``."""

from __future__ import annotations

import argparse
import errno
import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import NoReturn

from rich.console import Console

from harness.errors import HarnessError, first_line
from harness.faults.model import SCALING, Fault, parse_fault
from harness.launch.ports import GATEWAY_PORT, ContractPorts
from harness.launch.running import PAYMENT
from harness.run import values
from harness.run.options import PROFILES, PROVIDER_MEDIAN_MS, REPORTS, SERVICE_CPUS, RunOptions
from harness.stages.manifest import STAGES_ROOT, Stage, discover_stages, find_stage
from harness.supervise import Interrupted, orderly_interrupts
from scenarios.catalog import SCENARIOS
from scenarios.dataset import DATASETS

OK, AUDIT_BROKEN, CANNOT = 0, 1, 2

DEFAULT_PROFILE = "quick"

_DESCRIPTION = """\
A ticketing platform, built five times, and one harness that compares the five.

  run_all.py                    a first look at every stage (the same as `quick`)
  run_all.py full               figures to quote: three repeats in turns, with spread and verdicts
  run_all.py quick --stages 01 --scenarios concert_list
  run_all.py full --instance-cpus none       the uncapped speed of this machine
  run_all.py up 01              start one stage, seeded, to look at; Ctrl-C stops it (`up --help` tells more)

A stage takes about a minute and a half in `quick`; `full` measures longer, three times over.
Servers (PostgreSQL, Valkey, Kafka) are started for the run and stopped after it; nothing has to be installed.
The result is reports/latest/report.html. Exit code: 0 all audits kept, 1 an audit was broken, 2 it could not run.
"""


_DATASET_HELP = "; ".join(
    f"{name}: {data.concerts:,} concerts, {data.schedules:,} schedules, {data.bookings:,} bookings"
    for name, data in DATASETS.items()
)


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence, with the nearest thing that exists."""

    def error(self, message: str) -> NoReturn:
        print(f"error: {message}\nhint: {self.prog} --help shows what there is", file=sys.stderr)
        sys.exit(CANNOT)


def main(argv: Sequence[str]) -> int:
    """Runs the command; returns the exit code."""
    console = Console(stderr=True)
    try:
        # The first word decides; without one, a measurement is what is wanted.
        with orderly_interrupts():
            if argv and argv[0] == "up":
                return _up(_up_parser().parse_args(argv[1:]), console)
            return _measure(_parsed(argv), argv, console)
    except HarnessError as problem:
        return _refuse(problem.message, problem.hint)
    except Interrupted as stopped:
        print("Stopped; everything that was started has been ended.", file=sys.stderr)
        return stopped.exit_code
    except Exception as problem:
        if isinstance(problem, OSError) and problem.errno in (errno.ENOSPC, errno.EDQUOT):
            return _refuse("The disk is full.", f"Free space (old runs are in {REPORTS}) and try again.")
        return _refuse(
            f"Something went wrong that should not: {type(problem).__name__}: {first_line(problem)}",
            f"The traceback is in {_keep_traceback()}; everything that was started has been ended.",
        )


def _keep_traceback() -> Path:
    """Writes the traceback of the exception being handled where a bug report can find it."""
    file = Path(tempfile.gettempdir()) / f"fortickets-traceback-{os.getpid()}.txt"
    file.write_text(traceback.format_exc())
    return file


def _parsed(argv: Sequence[str]) -> argparse.Namespace:
    """The arguments of a measurement; the first word has to be a profile or an option."""
    if argv and not argv[0].startswith("-"):
        _named(argv[0], [*PROFILES, "up"], "profile")
    return _measure_parser().parse_args(argv)


def _refuse(message: str, hint: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    if hint:
        print(f"hint: {hint}", file=sys.stderr)
    return CANNOT


def _measure_parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="run_all.py", description=_DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter)
    profiles = "; ".join(f"{profile.name}: {profile.text}" for profile in PROFILES.values())
    parser.add_argument("profile", nargs="?", default=DEFAULT_PROFILE, metavar="PROFILE", help=profiles)
    what = parser.add_argument_group("what is measured")
    what.add_argument("--stages", nargs="+", metavar="STAGE", help="such as 01 or 02_cache (default: all there are)")
    what.add_argument(
        "--scenarios",
        nargs="+",
        metavar="SCENARIO",
        help=f"of {', '.join(SCENARIOS)} (default: all of them)",
    )
    what.add_argument("--dataset", default="default", metavar="SIZE", help=_DATASET_HELP)
    how = parser.add_argument_group("how it is measured")
    how.add_argument(
        "--repeats", type=values.count, metavar="N", help="of every cell, in turns; verdicts need at least 3"
    )
    how.add_argument("--seconds", type=values.seconds, metavar="S", help="measured in each cell")
    how.add_argument("--warm-up", type=values.seconds, metavar="S", help="before each measurement")
    how.add_argument(
        "--exact",
        action="store_true",
        help="every client makes the original's number of requests, however long it takes",
    )
    how.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="FAULT",
        help="in every cell: kill:order@10s, pause:postgres@10s+5s, restart:user@3s (seconds of the measured part); "
        "add:order@5s and stop:order#2@5s, where a stage has discovery",
    )
    how.add_argument(
        "--replicas",
        type=values.replicas,
        default={},
        metavar="SERVICE=N,…",
        help="instances of a service, such as order=1,concert=1, in stages that have discovery (default: as they say)",
    )
    how.add_argument(
        "--rate",
        type=values.rate,
        metavar="R",
        help="requests a second of loads that arrive at a fixed rate (default: a share of what the slowest stage did "
        "in a closed loop); quick leaves them out, unless a rate is given or their scenario is named",
    )
    how.add_argument(
        "--provider-median-ms",
        type=values.milliseconds,
        default=PROVIDER_MEDIAN_MS,
        metavar="MS",
        help=f"median latency of the payment provider's simulator, 0 to {values.HIGHEST_MEDIAN_MS:,} "
        f"(default: {PROVIDER_MEDIAN_MS:g})",
    )
    how.add_argument("--seed", type=int, default=1, metavar="N", help="of data, requests and order (default: 1)")
    how.add_argument(
        "--instance-cpus",
        type=values.cpus,
        default=SERVICE_CPUS,
        metavar="CPUS",
        help=f"CPU budget of each service instance, or none (default: {SERVICE_CPUS})",
    )
    where = parser.add_argument_group("where it runs")
    _add_provider(where)
    where.add_argument("--reports", type=Path, default=REPORTS, metavar="FOLDER", help="where runs are kept")
    return parser


def _up_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="run_all.py up",
        description="Starts one stage with seeded data, prints where it is and who can log in, and follows its logs "
        "until Ctrl-C.",
    )
    parser.add_argument("stage", metavar="STAGE", help="such as 01 or 02_cache")
    parser.add_argument(
        "--port-base",
        type=values.port_base,
        default=GATEWAY_PORT,
        metavar="PORT",
        help=f"the gateway's port; services are at +10, +20, +30 (default: {GATEWAY_PORT})",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write URLs, accounts and tokens there")
    parser.add_argument(
        "--load-plan",
        metavar="SCENARIO=FILE",
        help="also write what `locust -f scenarios/SCENARIO/locustfile.py` needs",
    )
    parser.add_argument("--dataset", default="default", metavar="SIZE", help=_DATASET_HELP)
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of the data (default: 1)")
    _add_provider(parser)
    return parser


def _add_provider(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--provider",
        choices=("embedded", "external"),
        default="embedded",
        help="embedded: servers of the run's own (default); external: URLs from FORTICKETS_POSTGRES_URL, "
        "FORTICKETS_REDIS_URL, FORTICKETS_KAFKA_BOOTSTRAP",
    )


def _measure(arguments: argparse.Namespace, argv: Sequence[str], console: Console) -> int:
    from harness.report.terminal import print_summary
    from harness.run.execute import execute
    from harness.run.progress import Narrator

    profile = PROFILES[_named(arguments.profile, list(PROFILES), "profile")]
    wanted = arguments.scenarios or list(SCENARIOS)
    stages = [find_stage(name) for name in arguments.stages] if arguments.stages else discover_stages(STAGES_ROOT)
    options = RunOptions(
        profile=profile.name,
        stages=tuple({stage.id: stage.with_replicas(arguments.replicas) for stage in stages}.values()),
        replicas=arguments.replicas,
        scenarios=tuple({name: SCENARIOS[_named(name, list(SCENARIOS), "scenario")] for name in wanted}.values()),
        repeats=arguments.repeats or profile.repeats,
        warm_up_seconds=profile.warm_up_seconds if arguments.warm_up is None else arguments.warm_up,
        seconds=profile.seconds if arguments.seconds is None else arguments.seconds,
        service_cpus=arguments.instance_cpus,
        provider=arguments.provider,
        dataset=_named(arguments.dataset, list(DATASETS), "data set"),
        seed=arguments.seed,
        exact=arguments.exact,
        faults=_faults(arguments.fault, stages),
        scenarios_named=bool(arguments.scenarios),
        rate=arguments.rate,
        provider_median_ms=arguments.provider_median_ms,
        reports=arguments.reports.absolute(),
        arguments=tuple(argv),
    )
    _refuse_idle_faults(options)
    _refuse_idle_rate(options)
    outcome = execute(options, Narrator(console))
    print_summary(outcome.summary, Console())
    print(f"\nReport: {_shown(outcome.report)}")
    return OK if outcome.summary.audit_ok else AUDIT_BROKEN


def _up(arguments: argparse.Namespace, console: Console) -> int:
    from harness.run.execute import first_of_month
    from harness.run.progress import Narrator
    from harness.run.up import UpOptions, up

    dataset = DATASETS[_named(arguments.dataset, list(DATASETS), "data set")]
    plan = None
    if arguments.load_plan:
        scenario, separator, file = arguments.load_plan.partition("=")
        if not separator or not file:
            raise HarnessError(
                f"--load-plan wants SCENARIO=FILE, not {arguments.load_plan!r}.", "For instance concert_list=plan.json"
            )
        plan = (SCENARIOS[_named(scenario, list(SCENARIOS), "scenario")], Path(file))
    options = UpOptions(
        stage=find_stage(arguments.stage),
        ports=ContractPorts(arguments.port_base),
        provider=arguments.provider,
        dataset=replace(dataset, seed=arguments.seed, today=first_of_month(datetime.now(UTC).date())),
        json_file=arguments.json,
        load_plan=plan,
    )
    up(options, Narrator(console))
    return OK


def _faults(texts: Sequence[str], stages: Sequence[Stage]) -> tuple[Fault, ...]:
    """The faults that were asked for; what they name has to run in every stage of the run."""
    known = [{*map(str, stage.services), *stage.workers, *map(str, stage.infrastructure), PAYMENT} for stage in stages]
    faults = tuple(parse_fault(text, set.intersection(*known)) for text in texts)
    fixed = [stage.id for stage in stages if stage.discovery == "static"]
    for fault in faults:
        if fault.action in SCALING and fixed:
            raise HarnessError(
                f"{fault}: the instances of {fixed[0]} neither come nor go.", "Name stages with discovery by --stages."
            )
    return faults


def _refuse_idle_faults(options: RunOptions) -> None:
    """A fault that would strike behind the end of the measurement would be reported, and not have been."""
    for fault in options.faults:
        if not options.exact and fault.at_seconds + fault.down_seconds >= options.seconds:
            raise HarnessError(
                f"The fault {fault} would not be over when the measurement ends, after {options.seconds:g} s.",
                "Measure longer with --seconds, or let it strike earlier.",
            )


def _refuse_idle_rate(options: RunOptions) -> None:
    """A rate that no load of the run has would be thought to have been measured."""
    if options.rate is not None and not any(variant.load.shape == "open" for _, variant in options.cells):
        paced = [name for name, scenario in SCENARIOS.items() if any(v.load.shape == "open" for v in scenario.variants)]
        raise HarnessError(
            "--rate is given, and no scenario of this run arrives at a fixed rate.",
            f"Name one with --scenarios: {', '.join(paced)}.",
        )


def _named(name: str, known: Sequence[str], kind: str) -> str:
    """``name``, if it is one of ``known``.

    Raises:
        HarnessError: it is not; the nearest one is offered.
    """
    if name in known:
        return name
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"Did you mean {near[0]}?" if near else f"There are: {', '.join(known)}."
    raise HarnessError(f"There is no {kind} {name!r}.", hint)


def _shown(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
