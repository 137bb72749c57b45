-- F2F augmented, 4,000 images for fine-tuning: 2,000 more of F2F and 2,000 of FS+NT, each half real
-- paper: How Generalizable are Deepfake Image Detectors? An Empirical Study (Li, Sun, Poskitt, Wang), section 3.3
-- table: 4, augmented detectors trained on F2F
-- reports: 50 epochs on 2,000 additional images of the original dataset and 2,000 of FS and NT
-- The authors' programs alternate batches of the two: train with --order alternate, which goes by the column stream.
-- Give the parameters with which f2f_train was pinned.
-- uses: f2f_additional = f2f_additional.sql
-- uses: fs_nt_train = fs_nt_train.sql

SELECT sample_id, 'original' AS stream FROM f2f_additional
UNION ALL
SELECT sample_id, 'added' AS stream FROM fs_nt_train
