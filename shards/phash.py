"""A perceptual hash: 256 bits of a face that hardly change when its video is encoded again, cut or shifted in time.

It is of the aligned crop, so that it does not see where in the frame a face is or how large. Of six hashes that were
tried (docs/look.md, Duplicates) this one keeps the greatest distance between clips of the same footage and others.
Given up: crops of one face with another margin, which came aligned, have other hashes.
"""

import cv2
import numpy as np

_SIDE, _BLOCKS, _SIGMA = 32, 16, 3.0


def perceptual_hash(rgb: np.ndarray) -> bytes:
    """32 bytes of a crop, uint8 [H,W,3] RGB: where its grey is lighter than its surroundings, in 16x16 blocks.

    The crop becomes 32x32 grey values (means of areas), from which their Gaussian mean (sigma 3) is taken away; each
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
