"""Pinned splits as files for trainers that know nothing of deepshard: image folders, Parquet, DeepfakeBench's layout.

What the shards hold is copied byte for byte and checked on the way; what a form has no place for is told in the README
beside it. Each form is a file of its own; what they share is who is in (sides), what is known of a face (facts), the
folder they are written to (place) and what is said of them (notes).
"""
