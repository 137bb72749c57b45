"""What the average causal effects of a MesoNet-4's 1,024 neurons cost, beside the loops they could be measured by.

effects     `training.explain.neurons`: the detector once for each face, then only what lies behind the neurons, for all
            faces and values of a neuron at once.
dense loop  the same, but a face at a time behind the neurons.
whole loop  the whole detector for each neuron and value, in batches of 32 faces, with the neuron fixed by a hook, as
            programs do that know nothing of the detector.

The loops are measured on a neuron or two and on a few faces, where their effects are compared with ours, and the time
of the rest is extrapolated. Faces are random pixels: a MesoNet-4 does the same work on them. On a busy machine CPU time
is what counts. The last line of the output is one JSON object.

    python benchmarks/causal.py [--images 1000] [--threads 2]
"""

import argparse
import json
import sys
import time
from pathlib import Path

import torch
from torch import nn

# the rooms lie one folder up, and benchmarks/training.py must not hide one
sys.path[0] = str(Path(__file__).resolve().parents[1])

from training.detectors import build_detector  # noqa: E402
from training.explain.neurons import GAMMAS, causal_effects  # noqa: E402

BATCH = 32
FACES = 96  # that the loops are measured on
DENSE, WHOLE = 2, 1  # neurons


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    model = build_detector("mesonet4", {}).eval()
    faces = torch.rand(args.images, 3, 256, 256).contiguous(memory_format=torch.channels_last)  # as the loader's
    labels = torch.arange(args.images) % 2
    with torch.inference_mode():
        wall, cpu = time.perf_counter(), time.process_time()
        values = torch.cat([model.neurons({"image": faces[i : i + BATCH]}) for i in range(0, len(faces), BATCH)])
        forward = time.process_time() - cpu
        causal_effects(model.after_neurons, values, labels)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        neurons = values.std(0).argsort(descending=True)  # some that move
        few = (values[:FACES], labels[:FACES])
        dense_s, dense = timed(dense_loop, model, *few, neurons[:DENSE])
        whole_s, whole = timed(whole_loop, model, faces[:FACES], *few, neurons[:WHOLE])
        ours = torch.from_numpy(causal_effects(model.after_neurons, *few))[neurons]
    count = values.shape[1]
    share = count * args.images / len(few[0])
    found = {
        "neurons": count,
        "images": args.images,
        "threads": args.threads,
        "wall_s": round(wall, 2),
        "cpu_s": round(cpu, 2),
        "forward_cpu_s": round(forward, 2),
        "dense_loop_cpu_s": round(dense_s / DENSE * share),
        "whole_loop_cpu_s": round(whole_s / WHOLE * share),
        "largest_difference": max(float((each - ours[: len(each)]).abs().max()) for each in (dense, whole)),
    }
    given = f"{count:,} neurons on {args.images:,} faces, {args.threads} threads"
    print(f"effects of {given}: {wall:.1f} s, {cpu:.1f} s of CPU")
    print(f"of which the faces through the detector once: {forward:.1f} s of CPU")
    print(f"a face at a time behind the neurons, extrapolated: {found['dense_loop_cpu_s']:,} s of CPU")
    print(f"the whole detector each time, extrapolated: {found['whole_loop_cpu_s'] / 3600:,.1f} h of CPU")
    print(f"effects differ by at most {found['largest_difference']:.1g}")
    print(json.dumps(found))


def timed(function, *arguments) -> tuple[float, torch.Tensor]:
    """(seconds of CPU, what the function gave)"""
    start = time.process_time()
    found = function(*arguments)
    return time.process_time() - start, found


def right(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The probability of the true class."""
    return torch.sigmoid(logits.double() * (labels * 2 - 1))


def fixed_values(values: torch.Tensor, neuron: int) -> torch.Tensor:
    return torch.linspace(float(values[:, neuron].min()), float(values[:, neuron].max()), GAMMAS)


def dense_loop(model: nn.Module, values: torch.Tensor, labels: torch.Tensor, neurons: torch.Tensor) -> torch.Tensor:
    found = []
    for neuron in neurons.tolist():
        means = []
        for gamma in fixed_values(values, neuron):
            total = 0.0
            for face, label in zip(values, labels, strict=True):
                changed = face.clone()
                changed[neuron] = gamma
                total += float(right(model.after_neurons(changed[None])[0], label))
            means.append(total / len(values))
        found.append(max(means) - min(means))
    return torch.tensor(found, dtype=torch.float64)


def whole_loop(
    model: nn.Module, faces: torch.Tensor, values: torch.Tensor, labels: torch.Tensor, neurons: torch.Tensor
) -> torch.Tensor:
    found = []
    for neuron in neurons.tolist():
        means = []
        for gamma in fixed_values(values, neuron):

            def fix(_module, given, neuron=neuron, gamma=gamma):
                given[0][:, neuron] = gamma

            handle = model.hidden.register_forward_pre_hook(fix)
            total = 0.0
            for i in range(0, len(faces), BATCH):
                total += float(right(model({"image": faces[i : i + BATCH]}), labels[i : i + BATCH]).sum())
            handle.remove()
            means.append(total / len(faces))
        found.append(max(means) - min(means))
    return torch.tensor(found, dtype=torch.float64)


if __name__ == "__main__":
    main()
