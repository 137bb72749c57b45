-- CELEB, 2,000 additional images for fine-tuning: training clips in frames that celeb_train.sql did not draw
-- paper: How Generalizable are Deepfake Image Detectors? An Empirical Study (Li, Sun, Poskitt, Wang), section 3.3
-- table: 4, augmented detectors trained on CELEB
-- reports: 2,000 additional images from the original dataset, 50 epochs, together with 2,000 of fs_nt_train.sql
-- Give the parameters with which celeb_train was pinned.
-- uses: celeb_train = celeb_train.sql
-- param additional: 1000  (faces of each label, where there are that many)
-- param val_percent: 10  (original clips kept for validation, of a hundred)
-- param seed: 1  (of the draws)

WITH trained_on AS (
    SELECT video_id FROM corrected_videos
    WHERE dataset = 'celebdf-v2' AND md5_number(footage(original_video, video_id) || ':' || $seed) % 100 >= $val_percent
), clips AS (
    SELECT * FROM faces
    WHERE dataset = 'celebdf-v2' AND official_split = 'train' AND video_id IN (FROM trained_on)
), not_drawn AS (
    FROM without(clips, celeb_train)
)
SELECT sample_id FROM balanced(not_drawn, n := $additional, seed := $seed)
