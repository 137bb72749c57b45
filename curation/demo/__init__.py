"""Synthetic demo data: a small tree of real and forged videos, made on this machine, named like the published datasets.

There is no public deepfake set that may be shipped, so `make_demo` films computed people (variations of one public-
domain photograph), forges them in seven honest small ways and writes FaceForensics++, DFD and Celeb-DF v2 in
miniature.
"""

from curation.demo.layout import SIZES, Size
from curation.demo.photograph import DemoError
from curation.demo.tree import DemoTree, make_demo

__all__ = ["SIZES", "DemoError", "DemoTree", "Size", "make_demo"]
