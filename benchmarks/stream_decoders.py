"""What a face costs to decode into a batch, decoder by decoder: milliseconds of CPU, one thread, medians.

Every candidate ends with uint8 [256,256,3], RGB, in memory that was there before, as ``shards.image`` must; those that
cannot write there are copied. Pixels are compared with OpenCV's. Candidates take turns face by face of the same files.

    python -m benchmarks.stream_decoders CODEC FACES [NUMBER]
"""

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import thread_time

import cv2
import numpy as np

from benchmarks.stream_faces import Faces

PACKAGES = ("imagecodecs", "pyspng-seunglab", "pywuffs", "PyTurboJPEG")  # beside deepshard's own
ROUNDS = 7


def candidates(codec: str, out: np.ndarray) -> dict[str, Callable[[bytes], None]]:
    """By name, those that are installed and can read the codec."""
    found = {}
    for make in (_ours, _opencv, _pillow, _torchvision, _imagecodecs, _simplejpeg, _turbojpeg, _spng, _wuffs):
        try:
            decode = make(codec, out)
        except (ImportError, RuntimeError, OSError) as error:
            print(f"{make.__name__[1:]} is not measured: {error}", flush=True)
            continue
        if decode is not None:
            found[make.__name__[1:]] = decode
    return found


def _ours(codec, out):
    from shards.image import decode_into

    return lambda data: decode_into(data, out)


def _opencv(codec, out):
    def decode(data):
        out[:] = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)

    return decode


def _pillow(codec, out):
    from PIL import Image

    def decode(data):
        out[:] = np.asarray(Image.open(io.BytesIO(data)))

    return decode


def _torchvision(codec, out):
    import torch
    from torchvision.io import ImageReadMode, decode_image

    torch.set_num_threads(1)

    def decode(data):
        image = decode_image(torch.frombuffer(bytearray(data), dtype=torch.uint8), ImageReadMode.RGB)
        torch.from_numpy(out).copy_(image.permute(1, 2, 0))

    return decode


def _imagecodecs(codec, out):
    import imagecodecs

    decode = imagecodecs.png_decode if codec == "png" else imagecodecs.jpeg8_decode
    return lambda data: decode(data, out=out)


def _simplejpeg(codec, out):
    import simplejpeg

    return (lambda data: simplejpeg.decode_jpeg(data, "RGB", buffer=out)) if codec == "jpg" else None


def _turbojpeg(codec, out):
    from turbojpeg import TJPF_RGB, TurboJPEG

    library = TurboJPEG()  # the library of the system
    return (lambda data: library.decode(data, pixel_format=TJPF_RGB, dst=out)) if codec == "jpg" else None


def _spng(codec, out):
    import pyspng

    def decode(data):
        out[:] = pyspng.load(data)

    return decode if codec == "png" else None


def _wuffs(codec, out):
    from pywuffs import ImageDecoderType, PixelFormat
    from pywuffs.aux import ImageDecoder, ImageDecoderConfig

    config = ImageDecoderConfig()
    config.enabled_decoders = [ImageDecoderType.PNG if codec == "png" else ImageDecoderType.JPEG]
    config.pixel_format = PixelFormat.BGR
    decoder = ImageDecoder(config)

    def decode(data):
        cv2.cvtColor(decoder.decode(data).pixbuf, cv2.COLOR_BGR2RGB, out)

    return decode


def main() -> None:
    codec, folder, *number = sys.argv[1:]
    cv2.setNumThreads(1)
    faces = Faces(Path(folder), codec)
    files = list(faces.encoded(np.arange(min(int(number[0]) if number else 400, len(faces)))))
    out = np.empty((256, 256, 3), np.uint8)
    decoders = candidates(codec, out)
    spent = {name: [] for name in decoders}
    other = dict.fromkeys(decoders, 0)
    for _ in range(ROUNDS):
        for name, decode in decoders.items():
            begin = thread_time()
            for data in files:
                decode(data)
            spent[name].append((thread_time() - begin) / len(files) * 1000)
    for data in files:
        expected = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
        for name, decode in decoders.items():
            decode(data)
            other[name] += not np.array_equal(out, expected)
    figures = {name: round(median(some), 3) for name, some in sorted(spent.items(), key=lambda one: median(one[1]))}
    print({name: count for name, count in other.items() if count} or "all give the same pixels", file=sys.stderr)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
