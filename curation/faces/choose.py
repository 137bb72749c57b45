"""Which faces of a video are kept: every one, or the one that the video is about.

Where a mask tells what was manipulated, that is the face it covers most: in a shot of two people only one of them is
fake, and the other under the same label would teach a detector noise. Otherwise the largest over the clip: the sum of
box areas, so that neither a passer-by close to the lens for a moment nor a spectator who is always there wins.
"""

from collections.abc import Sequence

from curation.faces.backend import Face, FacesError

COVERED = 0.05  # share of a face's box the mask must cover, on the mean over the track's frames, to mean that face


def choose(
    found: Sequence[Sequence[Face]],
    numbers: Sequence[Sequence[int]],
    faces: str = "one",
    overlaps: Sequence[Sequence[float]] | None = None,
) -> list[list[int]]:
    """Per sampled frame, the places in found[i] of the faces to keep (for "one": none or one).

    numbers: track numbers in the shape of found (see ``track.tracks``). faces: "one" or "all". overlaps: in the shape
    of found, the share (0 to 1) of each face's box that the manipulation mask covers; None where there is no mask.
    With "one" and a mask, the track whose boxes it covers most, measured in pixels, and none if it covers no face (by
    more than a twentieth of its boxes): another face under the label fake would be a wrong one. Without a mask, the
    track with the largest sum of box areas. Ties go to the longer track, then to the one that began first. Raises
    FacesError for another ``faces``.
    """
    if faces == "all":
        return [list(range(len(there))) for there in found]
    if faces != "one":
        raise FacesError(f'faces is {faces!r}: take "one" or "all"')
    area: dict[int, float] = {}
    covered: dict[int, float] = {}
    frames: dict[int, int] = {}
    for index, (there, names) in enumerate(zip(found, numbers, strict=True)):
        for place, (face, number) in enumerate(zip(there, names, strict=True)):
            area[number] = area.get(number, 0.0) + face.size**2
            share = overlaps[index][place] if overlaps is not None else 0.0
            covered[number] = covered.get(number, 0.0) + share * face.size**2
            frames[number] = frames.get(number, 0) + 1
    if not area:
        return [[] for _ in found]
    worth = area
    if overlaps is not None:
        worth = {number: covered[number] for number in area if covered[number] > COVERED * area[number]}
        if not worth:
            return [[] for _ in found]
    best = max(worth, key=lambda number: (worth[number], frames[number], -number))
    return [[place for place, number in enumerate(names) if number == best] for names in numbers]
