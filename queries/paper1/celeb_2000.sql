-- CELEB, the test set of 2,000 images: Celeb-DF v2's official test list, half real
-- paper: How Generalizable are Deepfake Image Detectors? An Empirical Study (Li, Sun, Poskitt, Wang), section 3.3
-- table: 4, original accuracy of detectors trained on CELEB
-- reports: 2,000 images, half real, fully independent of the training images
-- 10 frames of the 178 real videos are 1,780 images, of the 340 fakes 3,400; 1,000 of each are drawn. Independent they are as
-- images: 234 of the 340 fakes on the list have their original clip on the training side.
-- uses: all_images = ../celebdf/v2_test.sql
-- param each: 1000  (faces of each label, where there are that many)
-- param seed: 1  (of the draw)

SELECT sample_id, video_id FROM balanced(all_images, n := $each, seed := $seed)
