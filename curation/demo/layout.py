"""Which videos a demo tree holds and what they are called: FaceForensics++, DFD and Celeb-DF v2 in miniature.

Folders and names are those of the published datasets. The pairs are the first official FaceForensics++ pairs of each
split without known shared footage, and the Celeb-DF test list is made of official lines (Li et al. 2020; there 1 =
real, 0 = fake); behind every name stands a synthetic person. Faces are swapped within a job only, so jobs run in any
order.
"""

import string
from collections.abc import Iterable
from dataclasses import dataclass

from curation.demo.draws import generator
from curation.demo.photograph import DemoError

FFPP, CELEB = "FaceForensics++", "Celeb-DF-v2"
FFPP_METHODS = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures", "FaceShifter")

# Official pairs in official order (FaceForensics++, dataset/splits/{train,val,test}.json).
PAIRS = {
    "train": "071_054 087_081 881_856 187_234 645_688 754_758 811_920 710_788 628_568 312_021 950_836 059_050 524_580"
    " 751_752 918_934 604_703",
    "val": "720_672 939_115 284_263 402_453",
    "test": "953_974 012_026 623_630 919_015 367_371 847_906 529_633 418_507",
}
ACTORS = ("01", "02", "03", "04", "05", "06")
SCENES = ("podium_speech_happy", "kitchen_pan", "talking_against_wall", "exit_phone_room")
# Celeb-DF v2, per person: a clip outside and one on the official test list, each with the people swapped into it. What
# is on the list is there clip and forgery alike. The first and the last four people swap among themselves.
CELEBRITIES = {
    "id0": ("0002:id1,id3", ""),
    "id1": ("0000:id0,id2", "0007:id0,id3"),
    "id2": ("0000:id3,id1", "0008:id0,id3"),
    "id3": ("0000:id2,id0", "0001:id1,id2"),
    "id4": ("0005:id6,id9", ""),
    "id6": ("0000:id4,id16", "0005:id16"),
    "id9": ("0001:id16,id6", "0000:id6,id16"),
    "id16": ("0003:id9,id4", "0011:id6"),
}
YOUTUBE = ("00000", "00170", "00001", "00208", "00002", "00063", "00003", "00024")  # every second is on the test list


@dataclass(frozen=True)
class Size:
    """How much to make.

    train, val, test  FaceForensics++ pairs per split (each gives two originals and two fakes per method)
    frames            frames of every video
    methods           FaceForensics++ methods at c23
    c40_pairs         test pairs whose originals and Face2Face are there at c40 too
    actors, scenes    of DFD; every actor is filmed in every scene and forged once there
    celebrities, youtube  people of Celeb-real, clips of YouTube-real
    """

    train: int = 14
    val: int = 3
    test: int = 6
    frames: int = 32
    methods: tuple[str, ...] = FFPP_METHODS
    c40_pairs: int = 6
    actors: int = 4
    scenes: int = 4
    celebrities: int = 8
    youtube: int = 8

    def __post_init__(self):
        least = {"frames": 1, "actors": 2, "celebrities": 2}
        most = {split: len(names.split()) for split, names in PAIRS.items()} | {"c40_pairs": self.test}
        most |= {"actors": len(ACTORS), "scenes": len(SCENES), "celebrities": len(CELEBRITIES), "youtube": len(YOUTUBE)}
        for name in (*most, "frames"):
            low, high, value = least.get(name, 0), most.get(name), getattr(self, name)
            if value < low or (high is not None and value > high):
                raise DemoError(f"a demo cannot have {name}={value}: choose {low} to {'any' if high is None else high}")
        unknown = set(self.methods) - set(FFPP_METHODS)
        if unknown:
            raise DemoError(f"unknown methods {sorted(unknown)}: choose from {', '.join(FFPP_METHODS)}")


SIZES = {
    "full": Size(),
    "small": Size(train=4, val=1, test=2, frames=24, c40_pairs=1, actors=3, scenes=2, celebrities=4, youtube=4),
    "tiny": Size(train=2, val=1, test=1, frames=12, c40_pairs=1, actors=2, scenes=1, celebrities=2, youtube=2),
}


@dataclass(frozen=True)
class Clip:
    """A person filmed once. `group` and the two numbers decide person and shot; `name` decides the motion.

    conditions: see scene.make_shot; clips that are never forged are filmed under the conditions of those that are.
    """

    group: str
    name: str
    person: int
    shot: int
    pan: bool = False
    conditions: str = ""


@dataclass(frozen=True)
class Video:
    """A file to make: `path` (and `mask`) relative to the tree's root; without a method it is the clip itself."""

    path: str
    clip: Clip
    quality: str  # c23 | c40 | native
    method: str | None = None
    source: Clip | None = None
    mask: str | None = None


Job = list[Video]  # videos that share clips and are made by one process


def pairs(size: Size) -> dict[str, list[tuple[str, str]]]:
    """The FaceForensics++ pairs of each split that a tree of this size holds."""
    wanted = {"train": size.train, "val": size.val, "test": size.test}
    return {split: [tuple(p.split("_")) for p in PAIRS[split].split()[:n]] for split, n in wanted.items()}


def plan(size: Size, seed: int = 0) -> list[Job]:
    """All jobs of a tree, the long ones first."""
    return [*_celeb_jobs(size), *_dfd_jobs(size, seed), *_faceforensics_jobs(size)]


def testing_list(jobs: Iterable[Job]) -> str:
    """Content of Celeb-DF's List_of_testing_videos.txt for the videos made; no newline at the end, as there."""
    listed = {name for i, name in enumerate(YOUTUBE) if i % 2}
    listed |= {f"{who}_{row[1].partition(':')[0]}" for who, row in CELEBRITIES.items() if row[1]}
    names = [
        (video.path.removeprefix(f"{CELEB}/"), video)
        for job in jobs
        for video in job
        if video.path.startswith(CELEB) and video.clip.name in listed
    ]
    order = ("YouTube-real", "Celeb-real", "Celeb-synthesis")
    names.sort(key=lambda item: order.index(item[0].partition("/")[0]))
    return "\n".join(f"{int(video.method is None)} {name}" for name, video in names)


def _faceforensics_jobs(size: Size) -> list[Job]:
    everyone = [person for split in PAIRS for pair in PAIRS[split].split() for person in pair.split("_")]
    jobs = []
    for split, chosen in pairs(size).items():
        for number, pair in enumerate(chosen):
            clips = [Clip("ffpp", name, everyone.index(name), everyone.index(name)) for name in pair]
            also = number < size.c40_pairs and split == "test"
            job = []
            for clip, other in (clips, clips[::-1]):
                for quality in ("c23", "c40") if also else ("c23",):
                    path = f"{FFPP}/original_sequences/youtube/{quality}/videos/{clip.name}.mp4"
                    job.append(Video(path, clip, quality))
                for method in size.methods:
                    name = f"{clip.name}_{other.name}.mp4"
                    folder = f"{FFPP}/manipulated_sequences/{method}"
                    mask = None if method == "FaceShifter" else f"{folder}/masks/videos/{name}"
                    job.append(Video(f"{folder}/c23/videos/{name}", clip, "c23", method, other, mask))
                    if also and method == "Face2Face":
                        job.append(Video(f"{folder}/c40/videos/{name}", clip, "c40", method, other))
            jobs.append(job)
    return jobs


def _dfd_jobs(size: Size, seed: int) -> list[Job]:
    jobs = []
    actors = ACTORS[: size.actors]
    for number, scene in enumerate(SCENES[: size.scenes]):
        clips = [
            Clip("dfd", f"{actor}__{scene}", i, number * len(ACTORS) + i, scene.endswith("pan"))
            for i, actor in enumerate(actors)
        ]
        job = [Video(f"{FFPP}/original_sequences/actors/c23/videos/{clip.name}.mp4", clip, "c23") for clip in clips]
        for i, target in enumerate(actors):
            j = (i + 1 + number) % len(actors)
            if i == j:
                j = (i + 1) % len(actors)
            letters = generator("suffix", seed, target, actors[j], scene)
            suffix = "".join(letters.choice(list(string.ascii_uppercase + string.digits), 8))
            name = f"{target}_{actors[j]}__{scene}__{suffix}.mp4"
            folder = f"{FFPP}/manipulated_sequences/DeepFakeDetection"
            mask = f"{folder}/masks/videos/{name}"
            job.append(Video(f"{folder}/c23/videos/{name}", clips[i], "c23", "DeepFakeDetection", clips[j], mask))
        jobs.append(job)
    return jobs


def _celeb_jobs(size: Size) -> list[Job]:
    people = list(CELEBRITIES)[: size.celebrities]
    jobs = []
    for group in (people[:4], people[4:]):
        clips, wanted = {}, []
        for who in group:
            for row in filter(None, CELEBRITIES[who]):
                number, _, sources = row.partition(":")
                place = list(CELEBRITIES).index(who)
                clip = Clip("celeb", f"{who}_{number}", place, 2 * place + (row == CELEBRITIES[who][1]))
                clips.setdefault(who, []).append(clip)
                wanted.append((who, number, clip, [s for s in sources.split(",") if s in group]))
        job = [Video(f"{CELEB}/Celeb-real/{clip.name}.mp4", clip, "native") for _, _, clip, _ in wanted]
        for who, number, clip, sources in wanted:
            for source in sources:
                path = f"{CELEB}/Celeb-synthesis/{who}_{source}_{number}.mp4"
                job.append(Video(path, clip, "native", "Celeb-synthesis", clips[source][0]))
        if job:
            jobs.append(job)
    faces = [Clip("youtube", name, i, 2 * i, conditions="celeb") for i, name in enumerate(YOUTUBE[: size.youtube])]
    jobs.append([Video(f"{CELEB}/YouTube-real/{clip.name}.mp4", clip, "native") for clip in faces])
    return jobs
