-- CELEB augmented, 4,000 images for fine-tuning: 2,000 more of CELEB and 2,000 of FS+NT, each half real
-- paper: How Generalizable are Deepfake Image Detectors? An Empirical Study (Li, Sun, Poskitt, Wang), section 3.3
-- table: 4, augmented detectors trained on CELEB
-- reports: 50 epochs on 2,000 additional images of the original dataset and 2,000 of FS and NT
-- The authors' programs alternate batches of the two: train with --order alternate, which goes by the column stream.
-- FS+NT is the set that detectors of F2F are trained on too: it leaves out the faces of ffpp/f2f_train.sql, which no
-- detector of CELEB has seen, so that there is one such set and not two.
-- Give the parameters with which celeb_train and ffpp/f2f_train were pinned.
-- uses: celeb_additional = celeb_additional.sql
-- uses: fs_nt_train = fs_nt_train.sql

SELECT sample_id, 'original' AS stream FROM celeb_additional
UNION ALL
SELECT sample_id, 'added' AS stream FROM fs_nt_train
