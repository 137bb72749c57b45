-- FF++ with FaceShifter, official test videos, five frames of each, for the interaction of image regions
-- paper: Implicit Identity Leakage: The Stumbling Block to Improving Deepfake Detection Generalization (Dong et al.), section 3.2
-- table: 1, row FF++
-- reports: AUC by frame above 0.5 for all, 99.58 for ResNet-50
-- Which videos were taken is not said; these are the test videos.
-- uses: all_frames = ff_test.sql
-- param frames_per_video: 5  (evenly spaced among the frames with a face)

SELECT sample_id, video_id FROM all_frames
