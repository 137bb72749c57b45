"""Where and how a clip is filmed: frame, size of the face, backdrop, light, exposure and sensor noise.

A shot belongs to a target clip, and every forgery of that clip inherits it, so nothing here can tell real from fake.
Whatever a careless detector could learn (frame size, face size, exposure, noise) is spread evenly over each group of
clips. Backdrops are procedural: clouds of noise of several colours and roughness, walls with boards, shelves, lamps;
before some of them leaves move in the wind, which spreads the sizes of the files much wider than any forgery moves
them.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from curation.demo.draws import evenly, generator

FRAME_SIZES = ((256, 256), (320, 240))  # width, height
PAN = 24  # pixels of backdrop beyond each edge of the frame


@dataclass(frozen=True)
class Shot:
    """width, height pixels; scale frame pixels per canvas pixel; backdrop uint8 [height + 2 PAN, width + 2 PAN, 3];
    light (strength -1..1 from the left or right, exposure factor); noise: standard deviation of the sensor, 0..255;
    centre: where the middle of the face is at rest, pixels; sway: how far the camera moves, pixels; leaves: float32
    [height + 2 PAN, width + 2 PAN], brightness that drifts over the backdrop, or None; seed of the noise.
    """

    width: int
    height: int
    scale: float
    centre: tuple[float, float]
    backdrop: np.ndarray
    light: float
    exposure: float
    noise: float
    sway: float
    leaves: np.ndarray | None
    seed: tuple


def make_shot(group: str, index: int, seed: int = 0, pan: bool = False, conditions: str = "") -> Shot:
    """Shot number `index` of a group of clips (a dataset's targets).

    conditions: the group in whose even spread of sizes, light and noise this shot takes its place, if not its own.
    """
    rng = generator("shot", seed, group, index)

    def spread(what: str, low: float, high: float) -> float:
        return low + (high - low) * evenly(index, what, seed, conditions or group)

    width, height = FRAME_SIZES[int(spread("frame", 0, len(FRAME_SIZES)))]
    tall = height / 256
    leaves = spread("leaves", -0.35, 1)
    return Shot(
        width=width,
        height=height,
        scale=spread("scale", 0.62, 0.70),
        centre=(width / 2 + rng.uniform(-6, 6), 140 * tall + rng.uniform(-3, 5)),
        backdrop=make_backdrop(width + 2 * PAN, height + 2 * PAN, rng, spread("busy", 0, 1)),
        light=spread("light", -0.28, 0.28),
        exposure=spread("exposure", 0.84, 1.10),
        noise=spread("noise", 1.2, 4.2),
        sway=PAN * 0.8 if pan else rng.uniform(0, 3),
        leaves=34 * leaves * _clouds(width + 2 * PAN, height + 2 * PAN, rng, 0.85) if leaves > 0 else None,
        seed=(seed, group, index),
    )


def _clouds(width: int, height: int, rng: np.random.Generator, roughness: float) -> np.ndarray:
    """Sum of octaves of noise, float32 [height, width], mean 0, deviation 1."""
    total = np.zeros((height, width), np.float32)
    for octave in range(7):
        cells = 2 + 2**octave
        noise = rng.normal(size=(cells, cells)).astype(np.float32)
        total += roughness**octave * cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    return (total - total.mean()) / total.std()


def make_backdrop(width: int, height: int, rng: np.random.Generator, busy: float) -> np.ndarray:
    """A place to stand in front of, uint8 [height, width, 3]; `busy` 0..1 sets how much there is to see."""
    hue = rng.uniform(0, 180)
    base = np.uint8([[[hue, rng.uniform(15, 110), rng.uniform(70, 205)]]])
    colour = cv2.cvtColor(base, cv2.COLOR_HSV2RGB)[0, 0].astype(np.float32)
    other = np.roll(colour, rng.integers(1, 3)) * rng.uniform(0.6, 1.2)
    rough = 0.3 + 0.6 * busy
    blend = 1 / (1 + np.exp(-1.5 * _clouds(width, height, rng, rough)))
    image = colour + (other - colour) * blend[..., None] * 0.8
    image *= 1 + (0.03 + 0.2 * busy) * _clouds(width, height, rng, rough)[..., None]
    kind = rng.choice(["plain", "boards", "shelves", "lamps"])
    if kind == "boards":
        period, slant = rng.uniform(18, 60), rng.uniform(-0.3, 0.3)
        x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
        wave = np.abs(((x + slant * y) / period) % 1 - 0.5) * 2
        image *= (1 - 0.35 * np.clip((wave - 0.85) / 0.1, 0, 1))[..., None]
    elif kind == "shelves":
        for top in range(int(rng.uniform(0, 40)), height, int(rng.uniform(50, 80))):
            left = int(rng.uniform(-20, 0))
            while left < width:
                book = int(rng.uniform(7, 20))
                tall = int(rng.uniform(26, 44))
                tone = (colour * rng.uniform(0.3, 1.3) + rng.uniform(-50, 50, 3)).tolist()
                cv2.rectangle(image, (left, top + 46 - tall), (left + book - 1, top + 46), tone, -1, cv2.LINE_AA)
                left += book
            cv2.rectangle(image, (0, top + 46), (width, top + 51), (colour * 0.35).tolist(), -1)
    elif kind == "lamps":
        glow = np.zeros_like(image)
        for _ in range(int(rng.integers(6, 16))):
            spot = (int(rng.uniform(0, width)), int(rng.uniform(0, height)))
            tone = rng.uniform([120, 80, 30], [220, 190, 160]).tolist()
            cv2.circle(glow, spot, int(rng.uniform(4, 16)), tone, -1, cv2.LINE_AA)
        image += glow * 0.7
    image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.5, 0.8) + 2.2 * (1 - busy))
    return np.clip(np.rint(image * 0.9), 0, 255).astype(np.uint8)
