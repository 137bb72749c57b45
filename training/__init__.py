"""Training: pinned splits in, checkpoints and one prediction per face out.

The room reads manifests and shards only; it opens the catalog for nothing but pinning a `.sql` split before the first
step and ingesting predictions after the last one. A detector is one file in `detectors/`; the loop knows none by name.
"""
