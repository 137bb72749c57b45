"""Every order and length of an epoch, from the settings to the samples of each step; a target domain without labels."""

import json
import shutil
import sys
import types

import numpy as np
import pytest
import torch
from torch.nn import functional

from shards.split import Split
from tests.fabricate import make_store, write_manifest
from tests.training.conftest import SIZE, Sets, Toy
from training import detectors
from training.checkpoint import checkpoints, read_weights
from training.domains import TargetLabelsHidden


class TwoDomains(Toy):
    """Draws the mean features of the domains together, and learns labels from the source."""

    two_domains = True

    def forward(self, batch):
        features = torch.tanh(self.hidden(batch["image"].mean((2, 3))))
        return {"logits": self.head(features).squeeze(1), "features": features}

    def loss(self, output, batch):
        if "domain" not in batch:  # in validation
            return functional.binary_cross_entropy_with_logits(output["logits"], batch["label"].float())
        target = batch["domain"] == 1
        assert target.sum() == len(target) / 2  # the same number of both, in every micro-batch
        assert (batch["label"][target] == -1).all() and (batch["weight"][target] == 0).all()
        assert (batch["label"][~target] >= 0).all()
        gap = output["features"][target].mean(0) - output["features"][~target].mean(0)
        labelled = functional.binary_cross_entropy_with_logits(
            output["logits"][~target], batch["label"][~target].float()
        )
        return labelled + gap.square().mean()


@pytest.fixture
def two_domains(monkeypatch):
    """The detector `adapting`, as if training/detectors/adapting.py existed."""
    module = types.ModuleType("training.detectors.adapting")
    module.build = lambda: TwoDomains(0.0, False)
    monkeypatch.setitem(sys.modules, "training.detectors.adapting", module)
    known = detectors.names()
    monkeypatch.setattr(detectors, "names", lambda: [*known, "adapting"])


@pytest.fixture(scope="module")
def orders(tmp_path_factory) -> Sets:
    """Pins with partners, weights and roles over 8 videos of 8 faces."""
    root = tmp_path_factory.mktemp("orders") / "store"
    store = make_store(root, videos=8, faces_per_video=8, size=SIZE, partners=True, faceless=0)
    sets = Sets(store, root)

    def pin(name: str, rows: list[dict]) -> None:
        write_manifest(root / "splits", rows, store.videos, SIZE, partners=True, name=name)

    def role(row: dict) -> str:
        return "target" if row["video_id"][-3:] in ("002", "003") else "source"

    pin("all", store.rows)
    pin("domains", [{**row, "role": role(row)} for row in store.rows])
    sets.pin("source_val", ["000"])
    return sets


def steps_of(sets, name):
    lines = (sets.root / "runs" / name / "trace-rank00000.jsonl").read_text().splitlines()
    return [json.loads(line)["samples"] for line in lines]


@pytest.fixture
def train(orders, config, capsys):
    """Train on a pin of `orders` with words; gives (exit code, what it printed)."""

    def call(split: str, *words: str) -> tuple[int, str]:
        from training.run import main

        given = ["--catalog", str(orders.root / "none.duckdb"), "--config", str(config), "--train", split]
        code = main([*given, *words] if "--store" in words else [*given, "--store", str(orders.root), *words])
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    return call


def video_of(sample: str) -> str:
    return sample.rpartition("/")[0]


def test_frames_of_a_video_come_side_by_side(orders, train):
    code, printed = train("all", "--name", "videos", "--order", "videos", "--per_video", "4")
    assert code == 0, printed
    for samples in steps_of(orders, "videos"):
        groups = [samples[i : i + 4] for i in range(0, 8, 4)]
        assert all(len(set(map(video_of, group))) == 1 and len(set(group)) == 4 for group in groups)


def test_fakes_come_with_their_originals(orders, train):
    code, printed = train("all", "--name", "paired", "--order", "paired")
    assert code == 0, printed
    split = Split.open(next((orders.root / "splits").glob("all@*")))
    partner = dict(zip(split.sample_ids(), split.table["partner_id"].to_pylist(), strict=True))
    steps = steps_of(orders, "paired")
    assert len(steps) == 2 * 8
    for samples in steps:
        assert [partner[fake] for fake in samples[::2]] == samples[1::2]


def test_short_epochs_show_all_faces_before_any_again(orders, train):
    code, printed = train("all", "--name", "short", "--samples_per_epoch", "16", "--epochs", "8")
    assert code == 0, printed
    assert "2 steps an epoch, 16 in all; an epoch goes on where the last one stopped: 16 faces of 64" in printed
    seen = [sample for samples in steps_of(orders, "short") for sample in samples]
    assert sorted(seen[:64]) == sorted(seen[64:]) == sorted(set(seen)) and len(set(seen)) == 64


def test_weights_decide_how_often_and_are_not_heeded_twice(orders, train, monkeypatch):
    light = next((orders.root / "splits").glob("all@*"))
    weights = np.where(np.arange(64) % 4 == 0, 0, np.where(np.arange(64) % 4 == 1, 2, 1)).astype(np.float32)
    opened = Split.open
    losses = []

    def weighted(path, *rest):
        split = opened(path, *rest)
        split.weights = weights
        return split

    monkeypatch.setattr(Split, "open", weighted)

    def loss(self, output, batch):
        losses.append(batch["weight"])
        return output.mean()

    monkeypatch.setattr(Toy, "loss", loss, raising=False)
    code, printed = train(str(light), "--name", "weighted", "--order", "weighted", "--epochs", "4")
    assert code == 0, printed
    assert "16 faces" in printed and "never trained on" in printed
    assert (torch.cat(losses) == 1).all()
    rows = {sample: row for row, sample in enumerate(opened(light).sample_ids())}
    seen = np.bincount([rows[sample] for samples in steps_of(orders, "weighted") for sample in samples], minlength=64)
    assert (seen[::4] == 0).all() and (np.abs(seen - weights * 48 * 4 / weights.sum()) <= 2).all()


@pytest.mark.usefixtures("two_domains")
def test_the_labels_of_the_target_do_not_reach_what_is_learnt(orders, train, monkeypatch):
    words = ["--detector.name", "adapting", "--order", "domains", "--accumulate", "2", "--val", "source_val"]
    code, printed = train("domains", "--name", "seeing", *words)
    assert code == 0, printed
    assert "32 of the target domain" in printed and "16 real, 16 fake" in printed
    opened = Split.open

    def lied(path, *rest):
        split = opened(path, *rest)
        if "target" in (words := split.words("role"))[1]:
            target = words[0] == words[1].index("target")
            split.labels = np.where(target, 1 - split.labels, split.labels)
        return split

    monkeypatch.setattr(Split, "open", lied)
    assert train("domains", "--name", "lied-to", *words)[0] == 0
    seeing, lied_to = (
        read_weights(checkpoints(orders.root / "runs" / name / "checkpoints")[-1])[0] for name in ("seeing", "lied-to")
    )
    assert all(torch.equal(seeing[name], lied_to[name]) for name in seeing)
    assert steps_of(orders, "seeing") == steps_of(orders, "lied-to")


def test_nothing_in_a_batch_tells_the_label_of_a_target_face(orders):
    split = Split.open(next((orders.root / "splits").glob("domains@*")))
    codes, names = split.words("role")
    hide = TargetLabelsHidden(split)
    batch = hide(split.dataset(("image", "mask", "partner", "landmarks")).__getitems__(np.arange(64)))
    target = torch.from_numpy(codes == names.index("target"))
    assert torch.equal(batch["domain"] == 1, target)
    blind = {name: value[target] for name, value in batch.items() if isinstance(value, torch.Tensor)}
    blind = {
        name: value for name, value in blind.items() if name not in ("image", "landmarks", "index", "draw", "valid")
    }
    assert blind.keys() == {"domain", "label", "weight", "mask", "partner", "partner_valid"}
    assert all((value == value[0]).all() for value in blind.values())  # whatever is left is the same for all
    seen = {name: value[~target] for name, value in batch.items() if name in blind}
    assert seen["mask"].any() and seen["partner"].any() and set(seen["label"].tolist()) == {0, 1}


@pytest.mark.usefixtures("two_domains")
@pytest.mark.parametrize(
    ("split", "words", "hint"),
    [
        ("domains", [], "detector toy does not learn from one"),
        ("all", ["--detector.name", "adapting"], "learns from two domains"),
        ("domains", ["--detector.name", "adapting", "--order", "balanced"], "labels training must not read"),
        ("domains", ["--detector.name", "adapting", "--order", "paired"], "labels training must not read"),
        (
            "domains",
            ["--detector.name", "adapting", "--order", "domains", "--val", "domains"],
            "validate on the source",
        ),
        ("domains", ["--detector.name", "adapting", "--order", "domains", "--batch_size", "7"], "use 6 or 8"),
        ("all", ["--order", "domains"], "none without a role"),
        ("all", ["--order", "videos"], "give it with --order videos"),
        ("all", ["--per_video", "2"], "only then"),
        ("all", ["--order", "videos", "--per_video", "9"], "8 of 8 videos have fewer than 9 faces"),
        ("all", ["--order", "videos", "--per_video", "3"], "keeps 3 samples together.*use 6 or 9"),
        ("all", ["--samples_per_epoch", "20"], "use 16 or 24"),
        ("all", ["--order", "sorted"], "shuffled | balanced"),
    ],
)
def test_orders_that_cannot_be_are_refused_before_anything_is_made(orders, train, split, words, hint):
    code, printed = train(split, "--name", "refused", *words)
    assert code == 2
    (line,) = printed.strip().splitlines()
    assert hint.split(".*")[0] in line and hint.split(".*")[-1] in line
    assert not (orders.root / "runs" / "refused").exists()


def test_faces_without_a_label_do_not_count_in_the_mean():
    logits = torch.tensor([0.3, -2.0, 1.0, 4.0])
    label, weight = torch.tensor([1, -1, 0, -1]), torch.tensor([1.0, 0, 2, 0])
    mixed = detectors.loss_of(Toy(0, False), logits, {"label": label, "weight": weight})
    kept = label >= 0
    alone = detectors.loss_of(Toy(0, False), logits[kept], {"label": label[kept], "weight": weight[kept]})
    expected = functional.binary_cross_entropy_with_logits(logits[kept], label[kept].float(), weight[kept])
    assert torch.allclose(mixed, alone) and torch.allclose(alone, expected)


@pytest.fixture
def damaged(orders, tmp_path):
    """The store with one flipped byte in one face; (its root, the face's row in the split `all`, its sample id)."""
    root = tmp_path / "store"
    shutil.copytree(orders.root, root)
    split = Split.open(next((root / "splits").glob("all@*")))
    row = split.rows([37])[0]
    with (root / "shards" / f"{row['shard']}.tar").open("r+b") as tar:
        tar.seek(row["image_offset"] + row["image_size"] // 2)
        byte = tar.read(1)[0]
        tar.seek(-1, 1)
        tar.write(bytes([byte ^ 16]))
    return root, row


def test_a_face_that_cannot_be_read_stops_training_and_is_named(damaged, train):
    root, row = damaged
    code, printed = train("all", "--name", "stopped", "--store", str(root), "--workers", "1")
    assert code == 2
    assert all(str(row[name]) in printed for name in ("sample_id", "shard", "image_offset"))


def test_or_it_keeps_its_place_without_counting_and_is_recorded(damaged, train, monkeypatch):
    root, row = damaged
    seen = []

    def loss(self, output, batch):
        seen.append({name: batch[name] for name in ("index", "label", "weight", "valid")})
        return (output * batch["weight"]).mean()

    monkeypatch.setattr(Toy, "loss", loss, raising=False)
    code, printed = train("all", "--name", "on", "--store", str(root), "--unreadable", "record", "--workers", "1")
    assert code == 0, printed
    assert printed.count("not trained on in step") == 2  # once in each epoch
    lines = (root / "runs" / "on" / "unreadable-rank00000.jsonl").read_text().splitlines()
    recorded = [json.loads(line) for line in lines]
    assert [line["sample_id"] for line in recorded] == [row["sample_id"]] * 2
    for name in ("index", "label", "weight", "valid"):
        values = torch.cat([batch[name] for batch in seen])
        of_it = values[torch.cat([batch["index"] for batch in seen]) == 37]
        assert of_it.tolist() == {"index": [37, 37], "label": [-1, -1], "weight": [0, 0], "valid": [False, False]}[name]
    trace = [json.loads(line) for line in (root / "runs" / "on" / "trace-rank00000.jsonl").read_text().splitlines()]
    assert [line["step"] for line in trace if row["sample_id"] in line["samples"]] == [
        line["step"] for line in recorded
    ]
