-- Celeb-DF v2, every video that is not on the official test list, equally many real and fake faces
-- paper: How Generalizable are Deepfake Image Detectors? An Empirical Study (Li, Sun, Poskitt, Wang), section 3.3
-- table: 4, detectors trained on CELEB
-- reports: 16,000 training images, half real, 10 frames from each video
-- The numbers do not fit: 10 frames of 712 real training videos are 7,120 faces, not 8,000, so up to 16 frames of a video are
-- taken. The official split has no validation side and leaks: 234 of the 340 test fakes have their original clip here.
-- param frames_per_video: 16  (evenly spaced among the frames with a face)
-- param per_class: 8000  (faces of each label, where there are that many)
-- param seed: 1  (of the draw)

WITH train AS (
    SELECT * FROM faces WHERE dataset = 'celebdf-v2' AND official_split = 'train'
), frames AS (
    FROM frames_per_video(train, n := $frames_per_video)
)
SELECT sample_id FROM balanced(frames, n := $per_class, seed := $seed)
