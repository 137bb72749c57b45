-- DFDC's public test videos, 32 frames of each
-- paper: DeepfakeBench: A Comprehensive Benchmark of Deepfake Detection (Yan, Zhang, Yuan, Lyu, Wu)
-- reports: AUC by frame: Xception 0.708, EfficientNet-B4 0.696, MesoInception 0.623, Meso4 0.556
-- A cross-dataset test of detectors trained on ff_train.sql. 2,500 real and 2,500 fake videos.
-- Videos without any face are listed too.
-- param frames_per_video: 32  (evenly spaced among the frames with a face)

WITH test AS (
    SELECT * FROM faces_or_none WHERE dataset = 'dfdc' AND official_split = 'test'
)
SELECT sample_id, video_id FROM frames_per_video(test, n := $frames_per_video)
