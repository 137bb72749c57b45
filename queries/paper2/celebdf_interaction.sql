-- Celeb-DF v2's official test list, five frames of each video, for the interaction of image regions
-- paper: Implicit Identity Leakage: The Stumbling Block to Improving Deepfake Detection Generalization (Dong et al.), section 3.2
-- table: 1, row Celeb-DF
-- reports: AUC by frame below 0.5 for all, 49.47 for ResNet-50
-- uses: v2_test = ../celebdf/v2_test.sql
-- param frames_per_video: 5  (evenly spaced among the frames with a face)

SELECT sample_id, video_id FROM v2_test
