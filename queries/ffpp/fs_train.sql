-- FaceSwap and the originals, FF++'s official training videos, equally many faces of both
-- Sizes are those of the Face2Face training set of paper 1 (f2f_train.sql): up to 16 frames of a video, 8,000 faces of a
-- class, or as many as the rarer class has.
-- param quality: c23  (raw, c23 or c40)
-- param frames_per_video: 16  (evenly spaced among the frames with a face)
-- param per_class: 8000  (faces of each label, where there are that many)
-- param seed: 1  (of the draw)

WITH train AS (
    SELECT * FROM faces
    WHERE dataset = 'ffpp' AND quality = $quality AND official_split = 'train'
      AND method IN ('FaceSwap', 'original')
), frames AS (
    FROM frames_per_video(train, n := $frames_per_video)
)
SELECT sample_id FROM balanced(frames, n := $per_class, seed := $seed)
