-- F2F, 2,000 additional images for fine-tuning: training videos in frames that no other set of paper 1 draws
-- paper: How Generalizable are Deepfake Image Detectors? An Empirical Study (Li, Sun, Poskitt, Wang), section 3.3
-- table: 4, augmented detectors trained on F2F
-- reports: 2,000 additional images from the original dataset, 50 epochs, together with 2,000 of fs_nt_train.sql
-- Neither images of ffpp/f2f_train.sql nor real ones of fs_i.sql and nt_i.sql, which test the detectors that are trained here.
-- Of 720 real videos with 16 frames, 11,520 faces, these take 10,000 in all; curate 16 frames or more. Give the parameters
-- with which f2f_train was pinned.
-- uses: f2f_train = ../ffpp/f2f_train.sql
-- uses: fs_i = fs_i.sql
-- uses: nt_i = nt_i.sql
-- param quality: c23  (raw, c23 or c40)
-- param additional: 1000  (faces of each label, where there are that many)
-- param seed: 1  (of the draws)

WITH train AS (
    SELECT * FROM faces
    WHERE dataset = 'ffpp' AND quality = $quality AND official_split = 'train'
      AND method IN ('Face2Face', 'original')
), taken AS (
    SELECT sample_id, video_id FROM f2f_train
    UNION SELECT sample_id, video_id FROM fs_i
    UNION SELECT sample_id, video_id FROM nt_i
), not_taken AS (
    FROM without(train, taken)
)
SELECT sample_id FROM balanced(not_taken, n := $additional, seed := $seed)
