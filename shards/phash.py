"""A perceptual hash: 576 bits of a face that hardly change when its video is encoded again, cut or shifted in time.

It is of the aligned crop, so that it does not see where in the frame a face is or how large. Of the hashes that were
tried (docs/look.md, Duplicates) this one has most room between clips of the same footage and others; one of 256 bits
took two women with long dark hair on plain ground for one. A crop with another margin has another hash. Where crops
came aligned, so that the margin is not ours, the inner parts of a crop are hashed too: one of them is what a narrower
crop of the same face shows.
"""

import cv2
import numpy as np

HASH_BYTES = 72
WIDER = (1.1, 1.2)  # crops wider by so much than another are recognised

_SIDE, _BLOCKS, _SIGMA = 48, 24, 2.25


def perceptual_hash(rgb: np.ndarray) -> bytes:
    """72 bytes of a crop, uint8 [H,W,3] RGB: where its grey is lighter than its surroundings, in 24x24 blocks.

    The crop becomes 48x48 grey values (means of areas), from which their Gaussian mean (sigma 2.25) is taken away; each
    block of 2x2 gives 1 where the rest is positive, row by row, the most significant bit first. It joins the block
    means of B. Yang, F. Gu and X. Niu, "Block mean value based image perceptual hashing" (IIH-MSP 2006) and the local
    contrast of the Marr-Hildreth hash of C. Zauner, "Implementation and Benchmarking of Perceptual Image Hash
    Functions" (2010).
    """
    grey = cv2.resize(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    grey = grey.astype(np.float32)
    rest = grey - cv2.GaussianBlur(grey, (0, 0), _SIGMA)
    blocks = rest.reshape(_BLOCKS, 2, _BLOCKS, 2).mean(axis=(1, 3))
    return np.packbits(blocks > 0).tobytes()


def inner_part(rgb: np.ndarray, wider: float) -> np.ndarray:
    """What a crop shows that is ``wider`` times narrower about the same centre, in as many pixels: uint8 [H,W,3]."""
    height, width = rgb.shape[:2]
    centre = ((width - 1) / 2, (height - 1) / 2)
    matrix = np.array([[wider, 0, centre[0] * (1 - wider)], [0, wider, centre[1] * (1 - wider)]])
    return cv2.warpAffine(rgb, matrix, (width, height), flags=cv2.INTER_LINEAR)
