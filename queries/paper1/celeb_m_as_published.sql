-- CELEB-M as published: Celeb-DF v1, made with the same method as v2
-- paper: How Generalizable are Deepfake Image Detectors? An Empirical Study (Li, Sun, Poskitt, Wang), section 4.2
-- table: 6
-- reports: 80.20 % for MesoNet1, trained on Celeb-DF v2 (55.25 % on the mean of FS, NT, DF, DFD), on 2,000 images, half real
-- v1 lies almost wholly inside v2, so most of these clips are in the training set of the detectors that it tests: checked
-- beside celebdf/v2_train.sql it has the errors shared_content and the warning shared_identities. celeb_m_clean.sql is what
-- remains without them.
-- param frames_per_video: 10  (evenly spaced among the frames with a face)
-- param per_class: 1000  (faces of each label, where there are that many)
-- param seed: 1  (of the draw)

WITH clips AS (
    SELECT * FROM faces_or_none WHERE dataset = 'celebdf-v1'
), frames AS (
    FROM frames_per_video(clips, n := $frames_per_video)
)
SELECT sample_id, video_id FROM balanced(frames, n := $per_class, seed := $seed)
