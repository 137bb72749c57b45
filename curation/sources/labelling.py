"""What a description says of one path: label, method, category, quality, identities, original, split, mask.

Four places can say something; for each field the first of them decides: the first rule whose glob matches, the
manifest's row, the regex's groups, the top of the file. Nothing is guessed: what no place says stays unsaid, except the
few words that follow from the label (a real video's category is "real").
"""

from dataclasses import dataclass, field

from curation.sources.description import Description
from curation.sources.error import SourceError, check_known
from curation.sources.manifest import Manifest
from curation.sources.pattern import expand
from curation.sources.tree import split_extension
from curation.sources.video import CATEGORIES, SPLITS

ONLY_FAKES = ("original", "original_video", "mask")  # a real video has none of these
TOP_ONLY_FAKES = ("method", "category", *ONLY_FAKES)  # said at the top, for all: of all fakes

_LABELS = {"0": 0, "real": 0, "1": 1, "fake": 1}


class Unlabelled(SourceError):
    """Nothing says whether a file is real or fake."""


@dataclass(frozen=True)
class Said:
    """What is said of one path; fields as in the catalog, except that ``original`` and ``mask`` are paths."""

    label: int
    raw_label: str
    method: str
    category: str
    quality: str
    name: str
    target_id: str | None
    source_id: str | None
    visible_id: str | None
    original: str | None
    original_video: str | None
    split: str | None
    mask: str | None


@dataclass
class Labeller:
    """A description ready to be asked; counts which rules were used and which files the regex did not match."""

    description: Description
    manifest: Manifest | None
    used_rules: set[int] = field(default_factory=set)
    unmatched: list[str] = field(default_factory=list)

    def say(self, path: str) -> Said:
        """What the description says of a spelled relative path; Unlabelled or SourceError where that cannot be."""
        places = self._places(path)
        raw_label = self._word("label", places, path)
        if raw_label is None:
            raise Unlabelled(path)
        label = self._label(raw_label)
        if label == 0:
            _, top, _ = places[-1]
            top.update(dict.fromkeys(TOP_ONLY_FAKES))
        said = {
            name: None if label == 0 and name in ONLY_FAKES else self._value(name, places, path)
            for name in ("method", "category", "quality", "name", "split", *ONLY_FAKES)
        }
        category = said["category"] or ("real" if label == 0 else "unknown")
        check_known([category], CATEGORIES, f"{path}: category")
        if (label == 0) != (category == "real"):
            raise SourceError(f"{path} is labelled {'real' if label == 0 else 'fake'}, and its category is {category}.")
        if said["method"] is None and label == 1:
            raise SourceError(f"{path} is fake, and nothing says by which method: give method (at the top, for all).")
        if said["split"] is not None:
            check_known([said["split"]], SPLITS, f"{path}: split (translate other words under values)")
        ids = {name: self._identity(name, places, path) for name in ("target_id", "source_id", "visible_id")}
        _complete(ids, category)
        return Said(
            label=label,
            raw_label=raw_label,
            method=said["method"] or "original",
            category=category,
            quality=said["quality"] or "native",
            name=said["name"] or self._default_name(path),
            original=said["original"],
            original_video=said["original_video"],
            split=said["split"],
            mask=said["mask"],
            **ids,
        )

    def _places(self, path: str) -> list[tuple[str, dict[str, str | None], dict[str, str]]]:
        """The places that may say something, first the one that decides: (its name, its words, what fills them)."""
        folder, _, file = path.rpartition("/")
        frames = self.description.kind == "frames"
        parts = {"path": path, "folder": folder, "file": file, "stem": file if frames else split_extension(file)[0]}
        groups: dict[str, str] = {}
        if self.description.regex:
            match = self.description.regex.fullmatch(path)
            if match is None:
                self.unmatched.append(path)
            else:
                groups = {name: word for name, word in match.groupdict().items() if word is not None}
        fill = parts | groups
        places: list[tuple[str, dict[str, str | None], dict[str, str]]] = []
        for number, rule in enumerate(self.description.rules):
            if any(glob.fullmatch(path) for glob in rule.globs):
                self.used_rules.add(number)
                places.append((f"rule {number + 1}", dict(rule.fields), fill))
                break
        row = self.manifest.row(path) if self.manifest else None
        # cells and groups are words as they are, not templates: nothing is filled into them
        places.append(("the manifest", dict(row or {}), {}))
        places.append(("the regex", dict(groups), {}))
        places.append(("the top", dict(self.description.fields), fill))
        return places

    def _word(self, name: str, places: list, path: str) -> str | None:
        """A field as the first place that knows it says it, before ``values`` translates it."""
        for place, words, fill in places:
            word = words.get(name)
            if word is None:
                continue
            if not fill:
                return word
            try:
                return expand(word, fill)
            except KeyError as missing:
                raise SourceError(
                    f"{path}: {place} says {name}: {word!r}, and the regex gives no {missing} for this file. Say it "
                    "in a rule that matches only files which the regex matches."
                ) from None
        return None

    def _value(self, name: str, places: list, path: str) -> str | None:
        word = self._word(name, places, path)
        return self.description.values.get(name, {}).get(word, word) or None

    def _label(self, word: str) -> int:
        meaning = self.description.values.get("label", {}).get(word, word)
        if meaning is None:
            raise Unlabelled(word)
        label = _LABELS.get(meaning.lower())
        if label is None:
            raise SourceError(
                f'the label "{word}" is neither real nor fake: translate it under values, like "label:" and under it '
                f'"{word}: fake".'
            )
        return label

    def _identity(self, name: str, places: list, path: str) -> str | None:
        person = self._value(name, places, path)
        return person if person is None or ":" in person else f"{self.description.namespace}:{person}"

    def _default_name(self, path: str) -> str:
        whole = self.description.keep_extension or self.description.kind == "frames"
        return path if whole else split_extension(path)[0]


def _complete(ids: dict[str, str | None], category: str) -> None:
    """Add the identity that the category's definition gives: a real clip shows its own person, a swap the source's
    face, a reenactment the target's."""
    if category == "real":
        ids["target_id"] = ids["target_id"] or ids["visible_id"]
        ids["visible_id"] = ids["visible_id"] or ids["target_id"]
    elif ids["visible_id"] is None:
        ids["visible_id"] = {"swap": ids["source_id"], "reenactment": ids["target_id"]}.get(category)
