"""How a person moves in a clip: pose (shift, tilt, turn, nod, zoom) and expression (blink, jaw, smile, brows).

A motion is plain arrays over the frames, kept apart from the person: a forger who transfers an expression combines
the pose of one motion with the expression of another. Slow movements are sums of sinusoids; blinks last about a
quarter of a second; speech opens and closes the jaw at three to five syllables a second under a slow envelope.
"""

from dataclasses import dataclass, fields, replace

import numpy as np

from curation.demo.draws import generator

POSE = ("x", "y", "tilt", "turn", "nod", "zoom")
EXPRESSION = ("blink", "jaw", "smile", "brows")


@dataclass(frozen=True)
class Motion:
    """Arrays float64 [frames].

    x, y        shift of the head in the frame, in units of the distance between the eyes
    tilt, turn, nod  radians: in the plane, about the vertical axis, about the horizontal axis
    zoom        factor on the size of the face, about 1
    blink       0 open .. 1 closed
    jaw         -1 lips closed, 0 as in the photograph, 1 wide open
    smile       -1 lips narrowed .. 0 as in the photograph
    brows       -1 lowered .. 1 raised
    """

    x: np.ndarray
    y: np.ndarray
    tilt: np.ndarray
    turn: np.ndarray
    nod: np.ndarray
    zoom: np.ndarray
    blink: np.ndarray
    jaw: np.ndarray
    smile: np.ndarray
    brows: np.ndarray

    def __len__(self) -> int:
        return len(self.x)

    def expression(self) -> np.ndarray:
        """Blink, jaw, smile and brows as columns, float64 [frames, 4]."""
        return np.stack([getattr(self, name) for name in EXPRESSION], 1)


def make_motion(frames: int, fps: float, *names: object) -> Motion:
    """The motion that belongs to `names`, `frames` long; a shorter one is the beginning of a longer one."""
    rng = generator("motion", *names)
    time = np.arange(frames) / fps
    slow = {name: _wander(time, rng, 0.15, 0.9) for name in (*POSE, "smile", "brows")}
    return Motion(
        x=0.16 * slow["x"],
        y=0.09 * slow["y"],
        tilt=0.08 * slow["tilt"],
        turn=0.17 * slow["turn"] + rng.uniform(-0.06, 0.06),
        nod=0.10 * slow["nod"],
        zoom=1 + 0.025 * slow["zoom"],
        blink=_blinks(time, rng),
        jaw=_speech(time, rng),
        smile=np.clip(-0.45 + 0.5 * slow["smile"], -1, 0.15),
        brows=0.8 * slow["brows"],
    )


def transfer(pose: Motion, expression: Motion, names: tuple[str, ...] = EXPRESSION) -> Motion:
    """The pose of one motion with the named parts of the expression of another (which is repeated if it is shorter)."""
    assert set(names) <= {f.name for f in fields(Motion)}
    index = np.arange(len(pose)) % len(expression)
    return replace(pose, **{name: getattr(expression, name)[index] for name in names})


def _wander(time: np.ndarray, rng: np.random.Generator, slowest: float, fastest: float) -> np.ndarray:
    """Smooth, within about -1..1."""
    frequency = np.geomspace(slowest, fastest, 4) * rng.uniform(0.8, 1.25, 4)
    phase = rng.uniform(0, 2 * np.pi, 4)
    weight = np.array([0.5, 0.4, 0.25, 0.15]) * rng.uniform(0.6, 1.2, 4)
    return (weight * np.sin(2 * np.pi * frequency * time[:, None] + phase)).sum(1)


def _blinks(time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    starts = rng.uniform(0.1, 1.1) + np.r_[0, np.cumsum(rng.uniform(1.2, 3.5, 40))]
    since = time[:, None] - starts
    closing, opening = np.clip(since / 0.08, 0, 1), np.clip((since - 0.13) / 0.13, 0, 1)
    lid = (closing - opening).max(1)
    return lid * lid * (3 - 2 * lid)


def _speech(time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    rate, phase = rng.uniform(3.0, 4.8), rng.uniform(0, 2 * np.pi)
    syllables = 0.5 + 0.5 * np.sin(2 * np.pi * (rate * time + 0.35 * _wander(time, rng, 0.5, 2)) + phase)
    loud = np.clip(0.65 + 0.5 * _wander(time, rng, 0.2, 0.7), 0.1, 1)
    rest = rng.uniform(-0.95, -0.55)
    return rest + (rng.uniform(0.4, 0.9) - rest) * loud * syllables**1.3
