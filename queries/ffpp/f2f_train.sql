-- Face2Face and the originals, FF++'s official training videos, equally many faces of both
-- paper: How Generalizable are Deepfake Image Detectors? An Empirical Study (Li, Sun, Poskitt, Wang), section 3.3
-- table: 4, detectors trained on F2F
-- reports: 16,000 training images, half real, 10 frames from each video
-- The numbers do not fit: 10 frames of 720 official training videos are 7,200 of a class, not 8,000. So up to 16 frames of a
-- video are taken, and 8,000 faces of a class are drawn from them; where there are fewer, as many as the rarer class has.
-- param quality: c23  (raw, c23 or c40)
-- param frames_per_video: 16  (evenly spaced among the frames with a face)
-- param per_class: 8000  (faces of each label, where there are that many)
-- param seed: 1  (of the draw)

WITH train AS (
    SELECT * FROM faces
    WHERE dataset = 'ffpp' AND quality = $quality AND official_split = 'train'
      AND method IN ('Face2Face', 'original')
), frames AS (
    FROM frames_per_video(train, n := $frames_per_video)
)
SELECT sample_id FROM balanced(frames, n := $per_class, seed := $seed)
