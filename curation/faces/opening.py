"""Which backend finds faces: opened by its name, or as a recipe asks for it."""

from curation.faces.backend import FaceBackend, FacesError

BACKENDS = ("dlib", "face_alignment")


def open_backend(name: str, device: str | None = None, **options) -> FaceBackend:
    """The backend called name, ready to work: "dlib" (CPU) or "face_alignment" (S3FD and FAN, best on a GPU).

    device: a torch device such as "cuda:0"; None takes the GPU if there is one. dlib runs on the CPU alone. options go
    to the backend (see ``hog.open_hog`` and ``fan.open_fan``). Raises FacesError if name is unknown, a package or a
    weight file is missing, or the device is not there.
    """
    if name == "dlib":
        if device not in (None, "cpu"):
            raise FacesError(f"dlib runs on the CPU only, not on {device!r}: drop the device, or take face_alignment")
        from curation.faces.hog import open_hog

        return open_hog(**options)
    if name == "face_alignment":
        from curation.faces.fan import open_fan

        return open_fan(device=device, **options)
    raise FacesError(f"no face backend is called {name!r}: take one of {', '.join(BACKENDS)}")


def backend_of(recipe, device: str | None = None) -> FaceBackend:
    """The backend that a recipe (curation.recipe.Recipe) asks for. Raises FacesError as ``open_backend`` does."""
    options = {"scheme": recipe.scheme} if recipe.aligner == "dlib" else {}
    return open_backend(recipe.aligner, device, **options)
