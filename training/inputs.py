"""From the loader's batch to a detector's: onto the device as bytes, then to floats, size and normalisation there.

Bytes travel because they are a quarter of the floats, and the device divides faster than the workers. What a detector
wants (input_size, normalise) is read from the module, so that training, evaluation and prediction cannot differ.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

_PIXELS = ("image", "partner")


def _resize(pixels: Tensor, size: int) -> Tensor:
    if pixels.shape[-2:] == (size, size):
        return pixels
    return functional.interpolate(pixels, (size, size), mode="bilinear", antialias=True, align_corners=False)


def model_inputs(batch: dict, model: nn.Module, device: torch.device, channels_last: bool = False) -> dict[str, Tensor]:
    """A batch of the loader (uint8 [B, 3, H, W] RGB and its columns) -> what `forward` and `loss` get, on `device`.

    image, partner: float32 [B, 3, S, S], RGB in [0, 1], or normalised by the module's ``normalise`` (mean, std); mask:
    float32 [B, 1, S, S] in [0, 1]; landmarks: float32 [B, K, 2] in pixels of the resized crop; label int64 [B], weight
    float32 [B], index, valid, partner_valid as they come. S is the module's ``input_size``, or the crop's own.
    """
    size = getattr(model, "input_size", None)
    normalise = getattr(model, "normalise", None)
    moved = {name: value.to(device, non_blocking=True) for name, value in batch.items() if isinstance(value, Tensor)}
    side = moved["image"].shape[-1] if "image" in moved else None
    for name in _PIXELS:
        if name not in moved:
            continue
        pixels = moved[name].float().div_(255)
        if size is not None:
            pixels = _resize(pixels, size)
        if normalise is not None:
            mean, std = (pixels.new_tensor(values).view(1, 3, 1, 1) for values in normalise)
            pixels = (pixels - mean) / std
        layout = torch.channels_last if channels_last else torch.contiguous_format
        moved[name] = pixels.contiguous(memory_format=layout)
    if "mask" in moved:
        mask = moved["mask"].float().div_(255)
        moved["mask"] = mask if size is None else _resize(mask, size)
    if "landmarks" in moved and size is not None and side not in (None, size):
        moved["landmarks"] = (moved["landmarks"] + 0.5) * (size / side) - 0.5
    return moved


def keep_valid(batch: dict) -> dict:
    """The batch without its padded slots; the index [B] tells which rows of the split are left."""
    valid = batch["valid"]
    if bool(valid.all()):
        return batch
    return {name: value[valid] for name, value in batch.items() if isinstance(value, Tensor)}
