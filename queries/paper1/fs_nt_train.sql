-- FS+NT, 2,000 images for fine-tuning: 500 of FaceSwap, 500 of NeuralTextures, 1,000 real, official training videos
-- paper: How Generalizable are Deepfake Image Detectors? An Empirical Study (Li, Sun, Poskitt, Wang), section 3.3
-- table: 4, augmented detectors
-- reports: 2,000 images from FS and NT; "a total of 1000 deepfake images from FS and NT"
-- Read as 500 of each method. None is in fs_i.sql or nt_i.sql, which test the detectors that are trained here; no real one
-- is in ffpp/f2f_train.sql or f2f_additional.sql. Give the parameters with which f2f_train was pinned.
-- uses: f2f_train = ../ffpp/f2f_train.sql
-- uses: f2f_additional = f2f_additional.sql
-- uses: fs_i = fs_i.sql
-- uses: nt_i = nt_i.sql
-- param quality: c23  (raw, c23 or c40)
-- param of_each_method: 500  (faces of FaceSwap and of NeuralTextures, where there are that many; real ones twice as many)
-- param seed: 1  (of the draws)

WITH train AS (
    SELECT * FROM faces
    WHERE dataset = 'ffpp' AND quality = $quality AND official_split = 'train'
      AND method IN ('FaceSwap', 'NeuralTextures', 'original')
), taken AS (
    SELECT sample_id, video_id FROM f2f_train
    UNION SELECT sample_id, video_id FROM f2f_additional
    UNION SELECT sample_id, video_id FROM fs_i
    UNION SELECT sample_id, video_id FROM nt_i
), not_taken AS (
    FROM without(train, taken)
), fakes AS (
    SELECT * FROM not_taken WHERE label = 1
), drawn_fakes AS (
    FROM drawn_per(fakes, method, n := $of_each_method, seed := $seed)
), candidates AS (
    FROM drawn_fakes UNION ALL (SELECT * FROM not_taken WHERE label = 0)
)
SELECT sample_id FROM balanced(candidates, n := 2 * $of_each_method, seed := $seed)
