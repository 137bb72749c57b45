-- FF++ c23, four methods and the originals, official validation videos, 32 frames of each
-- paper: DeepfakeBench: A Comprehensive Benchmark of Deepfake Detection (Yan, Zhang, Yuan, Lyu, Wu)
-- For choosing a checkpoint.
-- param quality: c23  (raw, c23 or c40)
-- param methods: 'Deepfakes,Face2Face,FaceSwap,NeuralTextures'  (with commas between)
-- param frames_per_video: 32  (evenly spaced among the frames with a face)

WITH videos_of_side AS (
    SELECT * FROM faces
    WHERE dataset = 'ffpp' AND quality = $quality AND official_split = 'val'
      AND (label = 0 OR list_contains(string_split($methods, ','), method))
)
SELECT sample_id FROM frames_per_video(videos_of_side, n := $frames_per_video)
