"""From folders of videos to aligned faces: datasets' layouts, frames, faces; many videos at once, faults survived."""
