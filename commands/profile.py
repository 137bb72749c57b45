"""What `deepshard show` prints of a video or a face: a list of facts, then a table for each kind of thing known."""

from typing import TYPE_CHECKING, Any

from commands.screen import cell, print_table, size

if TYPE_CHECKING:
    from queries.show import Known

_FACE = ("face_px", "det_score", "sharpness", "brightness", "yaw", "pitch", "roll", "landmark_scheme")
_FRAMES = 12  # that are named for a reason


def show(known: "Known") -> None:
    """Prints it."""
    video, face = known.video, known.face
    _line(face["sample_id"] if face else video["video_id"], "")
    made = f", made from {video['original_video']}" if video["original_video"] else ""
    raw = f" ({video['raw_label']})" if video["raw_label"] else ""
    _line("label", f"{'fake' if video['label'] else 'real'}{raw}, {video['method']}, {video['category']}{made}")
    if video["original_video"] and known.original is None:
        _line("", "its original is not in the catalog")
    people = (("target", "target_id"), ("source", "source_id"), ("visible", "visible_id"))
    _line("people", ", ".join(f"{name} {video[column]}" for name, column in people if video[column]) or "not known")
    for one in known.relatives:
        _line("", f"{one['identity']} is {one['other']} too: {one['kind'] or 'by others'}, {one['said_by'] or ''}")
    _line("official split", video["official_split"] or "none")
    scanned = "" if video["in_scan"] else ", not in its last scan"
    _line("file", f"{video['path']}, {size(video['bytes']) if video['bytes'] else '?'}, of {video['source']}{scanned}")
    if video["mask_path"]:
        _line("mask", video["mask_path"])
    if face:
        time = f", {face['time_s']:.3f} s" if face["time_s"] is not None else ""
        _line("frame", f"{face['frame_index']}{time}, track {face['track']}")
        _line("measured", ", ".join(f"{name} {cell(face[name])}" for name in _FACE if face[name] is not None))
        _line("bytes", f"{face['size']:,} at {face['offset']:,} of {face['shard']}.tar ({face['tar']})")
    for one in known.corrections:
        _line("corrected", f"{one['column']} to {one['value']} by {one['who']}, {one['at']}: {one['why']}")
    print()
    if not known.attempts:
        print("not curated yet: `deepshard curate`\n")
    for one in known.attempts:
        _attempt(one)
    _videos("made from it", known.fakes)
    _videos("original", [known.original] if known.original else [])
    _videos("the same clip in other qualities", known.qualities)
    _table("same footage", known.duplicates, ("video_id", "relation", "matching", "faces", "least", "median"), 4)
    _table("people by their faces", known.persons, ("person", "track", "faces", "away", "videos"), 4)
    held = [
        [one["split"], ", ".join(one["roles"]), cell(one["faces"]) if not one["faceless"] else "listed, no face"]
        for one in known.splits
    ]
    if held:
        print_table("pinned splits that hold it", ["split", "role", "faces"], held, 1, blocks=False)
    scores = [
        [one["run_id"], one["checkpoint"], f"{one['split']}@{one['split_hash'][:8]}", *_scores(one)]
        for one in known.predictions
    ]
    if scores:
        columns = ["run", "checkpoint", "split", "score", "lowest", "highest", "faces"]
        print_table("scores (probability of fake; of a video the mean)", columns, scores, 4, blocks=False)


def _attempt(one: dict[str, Any]) -> None:
    """What a recipe made of the video, and why frames are missing."""
    old = "" if one["current"] else ", of bytes that the video had before"
    print(f"recipe {one['recipe']} ({one['recipe_hash'][:8]}), content {(one['content'] or '?')[:8]}{old}")
    clip = f"{one['width']}x{one['height']}, {cell(one['fps'])} frames/s, {cell(one['frame_count'])} frames"
    _line("  clip", f"{clip}, {one['codec']}, read by {one['decoder']}" if one["width"] else "not read")
    what = f"{one['status']}: {one['reason']}" if one["reason"] else one["status"]
    got = f"{one['faces'] or 0} faces in {one['frames_with_face'] or 0} of {one['frames_wanted'] or 0} frames"
    _line("  outcome", f"{what}, {got}, {one['attempted_at']:%Y-%m-%d %H:%M UTC}")
    reasons: dict[str, list[str]] = {}
    for gone in one["missing"] or ():
        reasons.setdefault(gone["reason"] or "no reason given", []).append(str(gone["frame_index"]))
    for reason, frames in sorted(reasons.items(), key=lambda item: -len(item[1])):
        some = ", ".join(frames[:_FRAMES]) + (" ..." if frames[_FRAMES:] else "")
        _line("  missing", f"{len(frames)} {'frame' if len(frames) == 1 else 'frames'}, {reason}: {some}")
    print()


def _videos(title: str, rows: list[dict[str, Any]]) -> None:
    shown = [
        [one["video_id"], "fake" if one["label"] else "real", one["official_split"] or "", cell(one["faces"])]
        for one in rows
    ]
    if shown:
        print_table(title, ["video", "label", "official", "faces"], shown, 1, blocks=False)


def _table(title: str, rows: list[dict[str, Any]], columns: tuple[str, ...], numbers: int) -> None:
    if rows:
        print_table(title, columns, [[cell(row[name]) for name in columns] for row in rows], numbers, blocks=False)


def _scores(one: dict[str, Any]) -> list[str]:
    values = [f"{one[name]:.4f}" for name in ("score", "lowest", "highest")]
    return [*values, cell(one["faces"]) if one["faces"] else "none, 0.5 by convention"]


def _line(name: str, value: str) -> None:
    print(f"{name:<15} {value}".rstrip())
