-- DF, the test set of 2,000 images: Deepfakes and originals, half real, official test videos
-- paper: How Generalizable are Deepfake Image Detectors? An Empirical Study (Li, Sun, Poskitt, Wang), section 3.3
-- table: 5, column DF
-- reports: 56.00 % for MesoNet4, trained on F2F, on 2,000 images, half real
-- 10 frames of 280 videos are 2,800 images; how the paper chose 2,000 of them it does not say. Here they are drawn from
-- ffpp/df_test.sql, which is all of them. With one seed FS, NT, DF and F2F have the same real images.
-- uses: all_images = ../ffpp/df_test.sql
-- param each: 1000  (faces of each label, where there are that many)
-- param seed: 1  (of the draw)

SELECT sample_id, video_id FROM balanced(all_images, n := $each, seed := $seed)
