"""What a person sees while a run goes on: one line that moves on a terminal, plain lines in a log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


class Narrator:
    """Tells what is being done: sentences that stay, and the state of the cell that is under way."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress: Progress | None = None
        self._cell = ""

    def say(self, sentence: str) -> None:
        """A sentence that stays on the screen."""
        # Tokens and commands are there to be copied: they stay in one line.
        self._console.print(sentence, highlight=False, soft_wrap=True)

    @contextmanager
    def cells(self, total: int) -> Iterator[None]:
        """While the cells of a run are measured."""
        columns = (
            SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn(),
            TimeElapsedColumn(),
        )  # fmt: skip
        with Progress(*columns, console=self._console, transient=True) as progress:
            self._progress = progress if self._console.is_terminal else None
            self._task = progress.add_task("starting", total=total)
            try:
                yield
            finally:
                self._progress = None

    def begin(self, cell: str) -> None:
        """The next cell begins."""
        self._cell = cell
        if self._progress is None:
            self.say(f"  {cell} …")
        self.step("starting")

    def step(self, what: str) -> None:
        """The current cell has come to its next step."""
        if self._progress is not None:
            self._progress.update(self._task, description=f"{self._cell}: {what}")

    def done(self, sentence: str) -> None:
        """The current cell is finished; ``sentence`` says with what."""
        if self._progress is not None:
            self._progress.advance(self._task)
        self.say(f"  {self._cell}: {sentence}")
