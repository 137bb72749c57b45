-- DFDC's training videos, each fake with its original's face in the same frame
-- paper: Implicit Identity Leakage: The Stumbling Block to Improving Deepfake Detection Generalization (Dong et al.), section 5.3
-- table: 5, bottom: trained on DFDC-V2, tested on DFDC-V2 and FF++
-- reports: 84.43 on FF++ and 95.67 on DFDC-V2 with EfficientNet-b3; AUC by video
-- The paper names the training set DFDC-V2, as it does the test set, and does not describe it; read as DFDC's training
-- parts. These have five fakes to a real video; --param per_class=... draws equally many faces of both, up to so many.
-- param frames_per_video: 32  (evenly spaced among the frames with a face)
-- param per_class: 0  (faces of each label, where there are that many; 0 takes all of both)
-- param seed: 1  (of the draw)

WITH train AS (
    SELECT * FROM faces WHERE dataset = 'dfdc' AND official_split = 'train'
), frames AS (
    FROM frames_per_video(train, n := $frames_per_video)
), equally_many AS (
    FROM balanced(frames, n := $per_class, seed := $seed)
), chosen AS (
    SELECT * FROM frames WHERE $per_class = 0
    UNION ALL (SELECT * FROM equally_many WHERE $per_class > 0)
)
SELECT sample_id, partner_id FROM with_partner(chosen)
