-- FF++ with FaceShifter, official test videos, 32 frames of each
-- paper: Implicit Identity Leakage: The Stumbling Block to Improving Deepfake Detection Generalization (Dong et al.), section 5.1
-- table: 2 and 3, column FF++
-- reports: 140 originals and 700 fakes; AUC by video
-- Videos without any face are listed too.
-- param quality: raw  (raw, c23 or c40)
-- param methods: 'Deepfakes,Face2Face,FaceSwap,NeuralTextures,FaceShifter'  (with commas between)
-- param frames_per_video: 32  (evenly spaced among the frames with a face)

WITH test AS (
    SELECT * FROM faces_or_none
    WHERE dataset = 'ffpp' AND quality = $quality AND official_split = 'test'
      AND (label = 0 OR list_contains(string_split($methods, ','), method))
)
SELECT sample_id, video_id FROM frames_per_video(test, n := $frames_per_video)
