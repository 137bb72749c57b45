-- DFDC's public test videos ("DFDC-V2"), 32 frames of each
-- paper: Implicit Identity Leakage: The Stumbling Block to Improving Deepfake Detection Generalization (Dong et al.), section 5.1
-- table: 2, 3 and 5 (bottom), column DFDC-V2
-- reports: 2,500 real and 2,500 fake videos; AUC by video
-- Videos without any face are listed too.
-- param frames_per_video: 32  (evenly spaced among the frames with a face)

WITH test AS (
    SELECT * FROM faces_or_none WHERE dataset = 'dfdc' AND official_split = 'test'
)
SELECT sample_id, video_id FROM frames_per_video(test, n := $frames_per_video)
