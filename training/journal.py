"""What a run says while it runs: JSON lines in its folder, TensorBoard through Accelerate, and the terminal.

`log.jsonl` has one line per report, `trace-rank00000.jsonl` (with --trace) the sample ids of every step, and
`unreadable-rank00000.jsonl` the faces that could not be read, where a run goes on without them. A resumed run first
drops the lines after the step it continues from, so that the files read as if nothing had happened. On a terminal
there is a progress bar; in a log file, plain lines.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


def drop_lines_after(path: Path, step: int) -> None:
    """Keep the JSON lines of `path` whose "step" is at most `step`; a half-written last line goes too."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line + "\n")
        except json.JSONDecodeError:
            break
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text("".join(kept), encoding="utf-8")
    temporary.replace(path)


def of_rank(folder: Path, kind: str, rank: int) -> Path:
    """Where a rank writes what only it knows, as the samples of its steps: all ranks' traces are the run's order."""
    return folder / f"{kind}-rank{rank:05d}.jsonl"


class Journal:
    """The reports of one process. Rank 0 writes the log and the terminal; every rank its own trace."""

    def __init__(self, folder: Path, accelerator: Accelerator, step: int, total_steps: int, trace: bool):
        self.accelerator = accelerator
        self.main = accelerator.is_main_process
        self.console = Console(file=sys.stderr, highlight=False, soft_wrap=True)
        self._log = self._trace = self._bar = None
        if self.main:
            drop_lines_after(folder / "log.jsonl", step)
            self._log = (folder / "log.jsonl").open("a", encoding="utf-8")
            if self.console.is_terminal:
                columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
                self._bar = Progress(*columns, console=self.console)
                self._task = self._bar.add_task("training", total=total_steps, completed=step)
                self._bar.start()
        if self.main:  # a run that goes on with fewer processes: nobody else mends the traces of those that are gone
            for kind in ("trace", "unreadable"):
                for path in folder.glob(f"{kind}-rank*.jsonl"):
                    if path >= of_rank(folder, kind, accelerator.num_processes):
                        drop_lines_after(path, step)
        if trace:
            path = of_rank(folder, "trace", accelerator.process_index)
            drop_lines_after(path, step)
            self._trace = path.open("a", encoding="utf-8")
        self._unreadable = of_rank(folder, "unreadable", accelerator.process_index)
        drop_lines_after(self._unreadable, step)

    def say(self, text: str) -> None:
        """A line for the person who watches."""
        if self.main:
            self.console.print(f"{time.strftime('%H:%M:%S')} {text}", markup=False)

    def report(self, kind: str, step: int, values: dict[str, Any], shown: str, brief: str | None = None) -> None:
        """Write `values` to the log, its numbers to the trackers, and `shown` to the terminal: or, where that has a
        progress bar, `brief` beside it.
        """
        if not self.main:
            return
        self._log.write(json.dumps({"kind": kind, "step": step, "time": round(time.time(), 3), **values}) + "\n")
        self._log.flush()
        numbers = {f"{kind}/{name}": value for name, value in values.items() if isinstance(value, int | float)}
        self.accelerator.log(numbers, step=step)
        if self._bar is not None:
            self._bar.update(self._task, completed=step, description=brief)
        if self._bar is None or brief is None:
            self.say(shown)

    def trace(self, step: int, epoch: int, ids: list[str]) -> None:
        if self._trace is not None:
            self._trace.write(json.dumps({"step": step, "epoch": epoch, "samples": ids}) + "\n")
            self._trace.flush()

    def unreadable(self, step: int, errors: list[dict[str, Any]]) -> None:
        """Record the faces of a step that could not be read: sample_id, index and message of each."""
        if errors:
            with self._unreadable.open("a", encoding="utf-8") as file:
                file.writelines(json.dumps({"step": step, **error}) + "\n" for error in errors)
            for error in errors:
                self.say(f"WARNING: not trained on in step {step}: {error['message']}")

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
        for file in (self._log, self._trace):
            if file is not None:
                os.fsync(file.fileno())
                file.close()
