-- FS+NT, the validation set: 500 of FaceSwap, 500 of NeuralTextures, 1,000 real, official validation videos
-- paper: How Generalizable are Deepfake Image Detectors? An Empirical Study (Li, Sun, Poskitt, Wang), section 3.3
-- For choosing a checkpoint of the augmented detectors, beside ffpp/f2f_val.sql or celeb_val.sql. The paper does not say
-- what it validates on; this is fs_nt_train.sql's composition.
-- param quality: c23  (raw, c23 or c40)
-- param frames_per_video: 10  (evenly spaced among the frames with a face)
-- param of_each_method: 500  (faces of FaceSwap and of NeuralTextures, where there are that many; real ones twice as many)
-- param seed: 1  (of the draws)

WITH val AS (
    SELECT * FROM faces
    WHERE dataset = 'ffpp' AND quality = $quality AND official_split = 'val'
      AND method IN ('FaceSwap', 'NeuralTextures', 'original')
), frames AS (
    FROM frames_per_video(val, n := $frames_per_video)
), fakes AS (
    SELECT * FROM frames WHERE label = 1
), drawn_fakes AS (
    FROM drawn_per(fakes, method, n := $of_each_method, seed := $seed)
), candidates AS (
    FROM drawn_fakes UNION ALL (SELECT * FROM frames WHERE label = 0)
)
SELECT sample_id FROM balanced(candidates, n := 2 * $of_each_method, seed := $seed)
