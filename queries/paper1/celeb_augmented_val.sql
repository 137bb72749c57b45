-- CELEB augmented, the validation set: celeb_val.sql and fs_nt_val.sql, up to 2,000 images of each
-- paper: How Generalizable are Deepfake Image Detectors? An Empirical Study (Li, Sun, Poskitt, Wang), section 3.3
-- For choosing a checkpoint of the detectors trained on celeb_augmented.sql, by the accuracy over both sets, as the
-- authors' programs do (4,000 images).
-- uses: celeb_val = celeb_val.sql
-- uses: fs_nt_val = fs_nt_val.sql

SELECT sample_id FROM celeb_val UNION ALL SELECT sample_id FROM fs_nt_val
