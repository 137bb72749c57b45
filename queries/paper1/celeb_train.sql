-- CELEB, the training set of 16,000 images: Celeb-DF v2 without the official test list, half real
-- paper: How Generalizable are Deepfake Image Detectors? An Empirical Study (Li, Sun, Poskitt, Wang), section 3.3
-- table: 4, detectors trained on CELEB
-- reports: 16,000 training images, half real, 10 frames from each video
-- Celeb-DF v2 has no validation side and the paper does not name one, so a tenth of the original clips, with the fakes made
-- from them, is kept for celeb_val.sql. celebdf/v2_train.sql is the set without this.
-- The numbers do not fit: 10 frames of 712 real videos are 7,120, not 8,000. So up to 16 frames of a video are taken.
-- param frames_per_video: 16  (evenly spaced among the frames with a face)
-- param per_class: 8000  (faces of each label, where there are that many)
-- param val_percent: 10  (original clips kept for validation, of a hundred)
-- param seed: 1  (of the draws)

WITH trained_on AS (
    SELECT video_id FROM corrected_videos
    WHERE dataset = 'celebdf-v2' AND md5_number(footage(original_video, video_id) || ':' || $seed) % 100 >= $val_percent
), clips AS (
    SELECT * FROM faces
    WHERE dataset = 'celebdf-v2' AND official_split = 'train' AND video_id IN (FROM trained_on)
), frames AS (
    FROM frames_per_video(clips, n := $frames_per_video)
)
SELECT sample_id FROM balanced(frames, n := $per_class, seed := $seed)
