-- Celeb-DF v2's official test list, 32 frames of each video
-- paper: DeepfakeBench: A Comprehensive Benchmark of Deepfake Detection (Yan, Zhang, Yuan, Lyu, Wu)
-- reports: AUC by frame: Xception 0.737, EfficientNet-B4 0.749, MesoInception 0.697, Meso4 0.609
-- A cross-dataset test of detectors trained on ff_train.sql. 518 videos: 178 real, 340 fake.
-- Videos without any face are listed too.
-- param frames_per_video: 32  (evenly spaced among the frames with a face)

WITH test AS (
    SELECT * FROM faces_or_none WHERE dataset = 'celebdf-v2' AND official_split = 'test'
)
SELECT sample_id, video_id FROM frames_per_video(test, n := $frames_per_video)
