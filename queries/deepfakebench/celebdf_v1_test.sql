-- Celeb-DF v1, 32 frames of each video
-- paper: DeepfakeBench: A Comprehensive Benchmark of Deepfake Detection (Yan, Zhang, Yuan, Lyu, Wu)
-- A cross-dataset test of detectors trained on ff_train.sql. v1's official test list is the List_of_testing_videos.txt of the
-- copy that was scanned; of a copy without it this is all of v1, none of which is trained on.
-- Videos without any face are listed too.
-- param frames_per_video: 32  (evenly spaced among the frames with a face)

WITH test AS (
    SELECT * FROM faces_or_none WHERE dataset = 'celebdf-v1' AND coalesce(official_split, 'test') = 'test'
)
SELECT sample_id, video_id FROM frames_per_video(test, n := $frames_per_video)
