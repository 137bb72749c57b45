-- DeepFakeDetection (DFD), all videos, equally many real and fake faces
-- paper: How Generalizable are Deepfake Image Detectors? An Empirical Study (Li, Sun, Poskitt, Wang)
-- table: 5, column DFD
-- reports: 53.55 % for MesoNet5, trained on F2F, on 2,000 images, half real
-- DFD has no official split; for detectors trained on other datasets all of it is a test set. Scenes hold several people:
-- with a recipe that keeps one face, it is the manipulated one only where masks are there.
-- param quality: c23  (raw, c23 or c40)
-- param frames_per_video: 10  (evenly spaced among the frames with a face)
-- param per_class: 1000  (faces of each label, where there are that many)
-- param seed: 1  (of the draw)

WITH clips AS (
    SELECT * FROM faces_or_none WHERE dataset = 'dfd' AND quality = $quality
), frames AS (
    FROM frames_per_video(clips, n := $frames_per_video)
)
SELECT sample_id, video_id FROM balanced(frames, n := $per_class, seed := $seed)
