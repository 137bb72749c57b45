-- DeepFakeDetection (DFD), all videos, 32 frames of each
-- paper: DeepfakeBench: A Comprehensive Benchmark of Deepfake Detection (Yan, Zhang, Yuan, Lyu, Wu)
-- reports: AUC by frame: Xception 0.816, EfficientNet-B4 0.815, MesoInception 0.607, Meso4 0.548
-- A cross-dataset test of detectors trained on ff_train.sql. DFD has no official split: 363 real and 3,068 fake videos.
-- Videos without any face are listed too.
-- param quality: c23  (raw, c23 or c40)
-- param frames_per_video: 32  (evenly spaced among the frames with a face)

WITH test AS (
    SELECT * FROM faces_or_none WHERE dataset = 'dfd' AND quality = $quality
)
SELECT sample_id, video_id FROM frames_per_video(test, n := $frames_per_video)
