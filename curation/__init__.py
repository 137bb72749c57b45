"""From folders of videos to aligned faces: what lies on disk, its frames, its faces; runs many videos, survives faults."""
