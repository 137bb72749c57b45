-- Celeb-DF v2's official test list, 32 frames of each video
-- paper: Implicit Identity Leakage: The Stumbling Block to Improving Deepfake Detection Generalization (Dong et al.), section 5.1
-- table: 2 and 3, column Celeb-DF
-- reports: 178 real videos; AUC by video
-- The 518 videos of celebdf/v2_test.sql.
-- uses: v2_test = ../celebdf/v2_test.sql
-- param frames_per_video: 32  (evenly spaced among the frames with a face)

SELECT sample_id, video_id FROM v2_test
