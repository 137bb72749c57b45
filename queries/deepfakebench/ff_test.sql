-- FF++ c23, four methods and the originals, official test videos, 32 frames of each
-- paper: DeepfakeBench: A Comprehensive Benchmark of Deepfake Detection (Yan, Zhang, Yuan, Lyu, Wu)
-- reports: AUC by frame: Xception 0.964, EfficientNet-B4 0.957, MesoInception 0.758, Meso4 0.608
-- The test within the dataset of detectors trained on ff_train.sql. Videos without any face are listed too.
-- param quality: c23  (raw, c23 or c40)
-- param methods: 'Deepfakes,Face2Face,FaceSwap,NeuralTextures'  (with commas between)
-- param frames_per_video: 32  (evenly spaced among the frames with a face)

WITH videos_of_side AS (
    SELECT * FROM faces_or_none
    WHERE dataset = 'ffpp' AND quality = $quality AND official_split = 'test'
      AND (label = 0 OR list_contains(string_split($methods, ','), method))
)
SELECT sample_id, video_id FROM frames_per_video(videos_of_side, n := $frames_per_video)
