"""What share of training is spent waiting for data, and whether decoding is the limit.

loop      training/run.py itself on a pinned split of real faces at 256x256: images/s, and the share of its time in
          which it waited for a batch, from its own log; the first reports, while workers start, are left out.
resident  the same program with one batch, which is on the device already, instead of a loader: what it would reach if
          batches were free. ``waiting`` is the time that the loop waited, over the time of the resident steps.
loader    the loader alone, with the same workers: what decoding and transport could bring if training were free.

Without a GPU: MesoNet-4, batch 32, as many workers as training chooses; there both share the cores, and ``possible``
tells what they allow: cores over the CPU seconds that an image costs in a resident step and in the loader. With a GPU:
Xception, bf16, channels_last, batch 128, with 1, 2, 4, ... workers up to the cores. ``workers_needed`` is the least
number with which the loop reaches 0.97 of the resident rate, ``cores_by_cpu`` what the loader's CPU seconds per image
say. For PNG, and for the split materialised as raw pixels. Sides take turns; medians. The last line is one JSON object.

    python benchmarks/training.py [--clips FOLDER] [--cache FOLDER] [--faces N] [--steps N] [--repeat N]
    python benchmarks/training.py --store STORE --split NAME      any pinned split of 256x256 faces instead
    python benchmarks/training.py --config FILE --batch N --workers N N     another detector, other sizes
"""

import argparse
import contextlib
import io
import itertools
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import torch  # noqa: E402

from shards.cache import Cache  # noqa: E402
from shards.loader import loader  # noqa: E402
from shards.materialize import materialize  # noqa: E402
from shards.sampler import GlobalBatchSampler  # noqa: E402
from shards.split import Split  # noqa: E402
from training import loop  # noqa: E402
from training.run import main as train  # noqa: E402
from training.world import available_cores, share_of_cores  # noqa: E402

REPORTS, WARM_UP = 8, 3  # reports of a run, of which the first are left out
ENOUGH = 0.97


@dataclass(frozen=True)
class Setting:
    """What is trained, on what."""

    manifest: Path
    cache: Path
    words: tuple[str, ...]
    batch: int
    steps: int  # in a report

    def run(self, workers: int) -> list[dict[str, Any]]:
        """Train, and return the reports of the log behind the warm-up. A checkpoint is written at the end."""
        with tempfile.TemporaryDirectory() as folder:
            words = [
                "--train",
                str(self.manifest),
                "--store",
                folder,
                "--cache",
                str(self.cache),
                "--catalog",
                f"{folder}/none",
                "--name",
                "bench",
            ]
            words += ["--epochs", "1", "--batch_size", str(self.batch), "--log_every", str(self.steps)]
            words += ["--samples_per_epoch", str(self.batch * self.steps * REPORTS), "--tracker", "none"]
            told = io.StringIO()
            with contextlib.redirect_stderr(told):
                code = train([*words, "--workers", str(workers), *self.words])
            if code:
                raise SystemExit(f"training ended with {code}:\n{told.getvalue()}")
            lines = Path(folder, "runs", "bench", "log.jsonl").read_text().splitlines()
        return [report for report in map(json.loads, lines) if report["kind"] == "train"][WARM_UP:]

    def resident(self) -> tuple[float, float]:
        """(images/s, CPU seconds per image) with one batch that is there already."""
        spent: list[float] = []

        class Resident:
            """Instead of a loader: the first batch of the split, for ever."""

            def __init__(self, dataset, sampler, workers=0, pin_memory=False):
                device = "cuda" if torch.cuda.is_available() else "cpu"
                batch = dataset.__getitems__(next(iter(sampler)))
                self._batch = {k: v.to(device) if isinstance(v, torch.Tensor) else v for k, v in batch.items()}
                self._count = len(sampler)

            def __iter__(self) -> Iterator[dict[str, Any]]:
                yield from itertools.repeat(self._batch, self._count // 2)
                began = time.process_time()
                yield from itertools.repeat(self._batch, self._count - self._count // 2 - 1)
                spent.append((time.process_time() - began) / (self._count - self._count // 2 - 1))
                yield self._batch

        with patch.object(loop, "loader", Resident):
            reports = self.run(workers=0)
        return median(report["images_per_second"] for report in reports), spent[0] / self.batch

    def loader_alone(self, workers: int) -> tuple[float, float]:
        """(images/s, CPU seconds per image) of the loader, when nobody trains: the workers' CPU and this process's."""
        split = Split.open(self.manifest, cache=self.cache)
        count = max(20, self.steps * 4)  # it is so fast that few batches tell little
        steps = self.steps * WARM_UP + count + 8  # the workers read ahead in the last one measured as in the first
        sampler = GlobalBatchSampler(split, self.batch, samples_per_epoch=self.batch * steps)
        batches = iter(loader(split.dataset(), sampler, workers, pin_memory=torch.cuda.is_available()))
        for _ in range(self.steps * WARM_UP):
            next(batches)
        began, cpu, images = time.perf_counter(), _cpu_with_children(), 0
        for batch in itertools.islice(batches, count):
            images += len(batch["index"])
        seconds, cpu = time.perf_counter() - began, _cpu_with_children() - cpu
        return images / seconds, cpu / images


def _cpu_with_children() -> float:
    """CPU seconds of this process and of all processes below it that are alive."""
    import psutil

    here = psutil.Process()
    return sum(sum(process.cpu_times()[:2]) for process in [here, *here.children(recursive=True)])


def measure(setting: Setting, workers: int, repeat: int) -> dict[str, float]:
    """Loop, resident and loader, in turns."""
    rates, waits, resident, alone = [], [], [], []
    for _ in range(repeat):
        free = setting.resident()
        resident.append(free)
        reports = setting.run(workers)
        rates += [report["images_per_second"] for report in reports]
        waited = [report["waiting_for_data"] / report["images_per_second"] for report in reports]  # seconds per image
        waits.append(median(waited) * free[0])
        alone.append(setting.loader_alone(workers))
    free_rate, free_cpu = (median(values) for values in zip(*resident, strict=True))
    alone_rate, alone_cpu = (median(values) for values in zip(*alone, strict=True))
    return {
        "workers": workers,
        "loop": round(median(rates), 1),
        "resident": round(free_rate, 1),
        "loader": round(alone_rate, 1),
        "waiting": round(median(waits), 4),
        "loop_over_resident": round(median(rates) / free_rate, 3),
        "cpu_ms_per_image": {"resident": round(free_cpu * 1e3, 3), "loader": round(alone_cpu * 1e3, 3)},
        "possible": round(available_cores() / (free_cpu + alone_cpu), 1),
        "cores_by_cpu": round(free_rate * alone_cpu, 2),
    }


def counts_of_workers(on_gpu: bool) -> list[int]:
    if not on_gpu:
        return [share_of_cores(1, False, None, None)[0]]
    return sorted({*itertools.takewhile(lambda n: n < available_cores(), (1, 2, 4, 8, 16, 32)), available_cores() - 1})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, default=ROOT.parent / "shared" / "clips")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "deepshard-benchmark")
    parser.add_argument("--store", type=Path)
    parser.add_argument("--split")
    parser.add_argument("--faces", type=int, default=4096, help="to be made from the clips")
    on_gpu = torch.cuda.is_available()
    default = ROOT / "training" / "configs" / ("xception.yaml" if on_gpu else "mesonet.yaml")
    parser.add_argument("--config", type=Path, default=default)
    parser.add_argument("--batch", type=int, default=128 if on_gpu else 32)
    parser.add_argument("--workers", type=int, nargs="+", default=counts_of_workers(on_gpu))
    parser.add_argument("--steps", type=int, default=20 if on_gpu else 2, help="of a report; a run makes eight")
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    if options.store:
        from training.splits import split_path

        manifest = split_path(options.split, options.store, Path("none"))
    else:
        from stream_faces import make_faces

        made = make_faces(options.clips, options.cache, "png", options.faces, 8, available_cores())
        manifest = made.manifest("100")
    words = ("--config", str(options.config), "--select", "loss", *(("--precision", "bf16") if on_gpu else ()))
    result: dict[str, Any] = {
        "device": torch.cuda.get_device_name() if on_gpu else "cpu",
        "cores": available_cores(),
        "config": options.config.stem,
        "batch": options.batch,
    }
    for form in ("png", "raw"):
        cache = Path(tempfile.mkdtemp(dir=options.cache if options.cache.is_dir() else None))
        try:
            if form == "raw":
                materialize(Split.open(manifest, cache=cache), Cache(cache), raw=True)
            rows = []
            for workers in options.workers:
                setting = Setting(manifest, cache, words, options.batch, options.steps)
                rows.append(measure(setting, workers, options.repeat))
                print(f"{form}: {rows[-1]}", flush=True)
        finally:
            shutil.rmtree(cache)
        enough = [row["workers"] for row in rows if row["loop_over_resident"] >= ENOUGH]
        result[form] = {"rows": rows, "workers_needed": min(enough, default=None)}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
