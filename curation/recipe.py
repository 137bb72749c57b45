"""A recipe: everything that decides a crop's pixels, and its hash.

Two runs with one hash give the same pixels, so a split names the recipe it wants. Library versions are not part of it:
they are provenance on each row, and an upgrade must not curate a dataset again. ``PIXELS_VERSION`` is raised by hand
when golden crops change.
"""

import dataclasses
import difflib
import hashlib
import json
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import yaml

from curation.frames.sampling import Sampling, SamplingError

PIXELS_VERSION = 1


class RecipeError(ValueError):
    """A recipe that cannot be used; the message names the key and what it may be."""

    deepshard_error = True


@dataclass(frozen=True)
class Recipe:
    """The settings of a recipe file; every one of them changes pixels or the choice of faces."""

    name: str
    sampling: str = "evenly 32"  # see curation.frames.sampling
    aligner: Literal["face_alignment", "dlib"] = "face_alignment"
    faces: Literal["one", "all"] = "one"  # one: the manipulated face where a mask tells, else the largest over the clip
    scheme: Literal["ibug68", "dlib5"] = "ibug68"  # landmarks; dlib5 comes with dlib alone and is in the public domain
    thorough: bool = False  # dlib: look for faces smaller than the largest, too; a mask may mean one of them
    template: Literal["five"] = "five"  # eye centres, nose tip, mouth corners; see curation.faces.align
    margin: float = 0.15  # how much more than the template's own frame is shown on each side, as a share of the size
    size: int = 256  # side of the crop, pixels
    interpolation: Literal["linear", "cubic", "lanczos"] = "cubic"
    codec: Literal["png", "webp", "jpg"] = "png"  # png and webp are lossless
    jpeg_quality: int = 95  # used by jpg alone
    masks: bool = True  # keep the manipulation mask under the same warp
    integrity: bool = False  # drop frames which the decoder marks as damaged
    pixels_version: int = PIXELS_VERSION
    weights: dict[str, str] = field(
        default_factory=dict
    )  # file -> SHA-256 of the aligner's weights, filled in by curate

    def __post_init__(self):
        for item in dataclasses.fields(self):
            value = getattr(self, item.name)
            choices = get_args(item.type) if get_origin(item.type) is Literal else None
            if choices and value not in choices:
                raise RecipeError(
                    f"recipe {self.name!r}: {item.name} is {value!r}, must be one of {', '.join(choices)}"
                )
            if item.type is bool and not isinstance(value, bool):
                raise RecipeError(f"recipe {self.name!r}: {item.name} is {value!r}, must be true or false")
            if item.type is int and (isinstance(value, bool) or not isinstance(value, int)):
                raise RecipeError(f"recipe {self.name!r}: {item.name} is {value!r}, must be a whole number")
        if self.scheme == "dlib5" and self.aligner != "dlib":
            raise RecipeError(f"recipe {self.name!r}: scheme dlib5 comes with aligner dlib, not with {self.aligner}")
        if isinstance(self.margin, bool) or not isinstance(self.margin, int | float) or not -0.2 <= self.margin <= 1:
            raise RecipeError(f"recipe {self.name!r}: margin is {self.margin!r}, must be between -0.2 and 1")
        object.__setattr__(self, "margin", float(self.margin))
        if not 16 <= self.size <= 2048:
            raise RecipeError(f"recipe {self.name!r}: size is {self.size} pixels, must be between 16 and 2048")
        if not 1 <= self.jpeg_quality <= 100:
            raise RecipeError(f"recipe {self.name!r}: jpeg_quality is {self.jpeg_quality}, must be between 1 and 100")
        try:
            Sampling.parse(self.sampling)
        except SamplingError as error:
            raise RecipeError(f"recipe {self.name!r}: {error}") from error

    @property
    def settings(self) -> dict[str, Any]:
        """All that is hashed: everything but the name, and no setting that this recipe does not use."""
        settings = dataclasses.asdict(self)
        del settings["name"]
        if self.codec != "jpg":
            del settings["jpeg_quality"]
        return settings

    @property
    def hash(self) -> str:
        """SHA-256 (64 hex digits) of the canonical JSON of ``settings``."""
        return hashlib.sha256(canonical(self.settings).encode()).hexdigest()


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces: one text for one value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def shipped() -> list[str]:
    """Names of the recipes that come with deepshard."""
    return sorted(entry.name[:-5] for entry in _shipped_files() if entry.name.endswith(".yaml"))


def load(name_or_path: str, **overrides: Any) -> Recipe:
    """A shipped recipe by name, or a recipe from a YAML file, with settings overridden.

    Overridden settings become part of the name (``default+aligner=dlib``): under one name there is one recipe. Raises
    RecipeError for a name there is not, a file that cannot be read, an unknown key or a wrong value.
    """
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml"):
        try:
            text, name = path.read_text(), path.stem
        except OSError as error:
            raise RecipeError(f"recipe {name_or_path} cannot be read: {error.strerror}") from error
    elif name_or_path in shipped():
        name = name_or_path
        text = next(entry for entry in _shipped_files() if entry.name == f"{name}.yaml").read_text()
    else:
        raise RecipeError(
            f"there is no recipe {name_or_path!r}; shipped are: {', '.join(shipped())}. "
            "Your own recipe is a YAML file: give its path, ending in .yaml"
        )
    try:
        settings = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise RecipeError(f"recipe {name_or_path} is not YAML: {error}") from error
    if not isinstance(settings, dict):
        raise RecipeError(f"recipe {name_or_path} must be a list of 'key: value' lines")
    allowed = [
        item.name for item in dataclasses.fields(Recipe) if item.name not in ("name", "weights", "pixels_version")
    ]
    for key in [*settings, *overrides]:
        if key not in allowed:
            close = difflib.get_close_matches(str(key), allowed, 1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            raise RecipeError(f"recipe {name_or_path}: unknown key {key!r}; {hint}keys are: {', '.join(allowed)}")
    changed = {key: value for key, value in overrides.items() if settings.get(key) != value}
    suffix = "".join(f"+{key}={value}" for key, value in sorted(changed.items()))
    return Recipe(name=name + suffix, **{**settings, **changed})


def from_record(record: dict[str, Any]) -> Recipe:
    """The recipe in a checkpoint's or a pinned split's record ``{"name", "hash", "recipe"}``. Raises RecipeError."""
    try:
        recipe = Recipe(name=record["name"], **record["recipe"])
    except TypeError as error:
        raise RecipeError(f"recipe {record['name']!r} comes from another version of deepshard: {error}") from error
    if recipe.hash != record["hash"]:
        raise RecipeError(f"recipe {recipe.name!r} hashes to {recipe.hash[:12]}, its record says {record['hash'][:12]}")
    return recipe


def to_record(recipe: Recipe) -> dict[str, Any]:
    """The JSON form kept in the store, in pinned splits and in checkpoints."""
    return {"name": recipe.name, "hash": recipe.hash, "recipe": recipe.settings}


def _shipped_files():
    return list(resources.files("curation").joinpath("recipes").iterdir())
