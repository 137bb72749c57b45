-- F2F augmented, the validation set: 2,000 images of Face2Face and originals, and fs_nt_val.sql
-- paper: How Generalizable are Deepfake Image Detectors? An Empirical Study (Li, Sun, Poskitt, Wang), section 3.3
-- For choosing a checkpoint of the detectors trained on f2f_augmented.sql, by the accuracy over both sets, as the
-- authors' programs do (4,000 images).
-- A face is in a split once, and of the 1,400 real ones of ffpp/f2f_val.sql fs_nt_val takes 1,000. So the real ones
-- beside it are others of the same 140 official validation videos, of which up to 16 frames are taken, and not 10.
-- uses: fs_nt_val = fs_nt_val.sql
-- param quality: c23  (raw, c23 or c40)
-- param frames_of_original: 16  (of a video of Face2Face or an original, evenly spaced among the frames with a face)
-- param original: 1000  (faces of each label beside fs_nt_val, where there are that many)
-- param seed: 1  (of the draws)

WITH val AS (
    SELECT * FROM faces
    WHERE dataset = 'ffpp' AND quality = $quality AND official_split = 'val'
      AND method IN ('Face2Face', 'original')
), frames AS (
    FROM frames_per_video(val, n := $frames_of_original)
), others AS (
    FROM without(frames, fs_nt_val)
)
SELECT sample_id FROM balanced(others, n := $original, seed := $seed)
UNION ALL
SELECT sample_id FROM fs_nt_val
