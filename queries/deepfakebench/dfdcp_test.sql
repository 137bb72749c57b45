-- DFDC preview's official test videos, 32 frames of each
-- paper: DeepfakeBench: A Comprehensive Benchmark of Deepfake Detection (Yan, Zhang, Yuan, Lyu, Wu)
-- A cross-dataset test of detectors trained on ff_train.sql. Those that its dataset.json calls test.
-- Videos without any face are listed too.
-- param frames_per_video: 32  (evenly spaced among the frames with a face)

WITH test AS (
    SELECT * FROM faces_or_none WHERE dataset = 'dfdcp' AND official_split = 'test'
)
SELECT sample_id, video_id FROM frames_per_video(test, n := $frames_per_video)
