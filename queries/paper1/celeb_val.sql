-- CELEB, the validation set: a tenth of Celeb-DF v2's clips outside the official test list, half real
-- paper: How Generalizable are Deepfake Image Detectors? An Empirical Study (Li, Sun, Poskitt, Wang), section 3.3
-- For choosing a checkpoint. The paper does not say what it validates on; these are the clips that celeb_train.sql leaves
-- out, given the same seed and val_percent. About 71 real clips remain, so up to 16 frames of each are taken.
-- param frames_per_video: 16  (evenly spaced among the frames with a face)
-- param each: 1000  (faces of each label, where there are that many)
-- param val_percent: 10  (original clips kept for validation, of a hundred)
-- param seed: 1  (of the draws)

WITH kept_for_validation AS (
    SELECT video_id FROM corrected_videos
    WHERE dataset = 'celebdf-v2' AND md5_number(footage(original_video, video_id) || ':' || $seed) % 100 < $val_percent
), clips AS (
    SELECT * FROM faces
    WHERE dataset = 'celebdf-v2' AND official_split = 'train' AND video_id IN (FROM kept_for_validation)
), frames AS (
    FROM frames_per_video(clips, n := $frames_per_video)
)
SELECT sample_id FROM balanced(frames, n := $each, seed := $seed)
