-- Face2Face and originals, test: 10 frames of each video
-- paper: Towards Generalizable Deepfake Detection with Locality-aware AutoEncoder (Du, Pentyala, Li, Hu), section 3.1
-- table: 1 and 3, Face2face, test
-- reports: 2,800 images, 1:1
-- 140 videos of a class times 10. Videos without any face are listed too.
-- Where faces are missing, equally many of both classes are drawn.
-- param quality: c23  (raw, c23 or c40)
-- param frames_per_video: 10  (evenly spaced among the frames with a face)
-- param seed: 1  (of the draw)

WITH videos_of_side AS (
    SELECT * FROM faces_or_none
    WHERE dataset = 'ffpp' AND quality = $quality AND official_split = 'test'
      AND method IN ('Face2Face', 'original')
), frames AS (
    FROM frames_per_video(videos_of_side, n := $frames_per_video)
)
SELECT sample_id, video_id FROM balanced(frames, seed := $seed)
