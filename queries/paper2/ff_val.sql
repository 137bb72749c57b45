-- FF++ with FaceShifter, official validation videos, each fake with its original's face in the same frame
-- paper: Implicit Identity Leakage: The Stumbling Block to Improving Deepfake Detection Generalization (Dong et al.), section 5.1
-- For choosing a checkpoint. 140 originals and 700 fakes.
-- param quality: raw  (raw, c23 or c40)
-- param methods: 'Deepfakes,Face2Face,FaceSwap,NeuralTextures,FaceShifter'  (with commas between)
-- param frames_per_video: 32  (evenly spaced among the frames with a face)

WITH val AS (
    SELECT * FROM faces
    WHERE dataset = 'ffpp' AND quality = $quality AND official_split = 'val'
      AND (label = 0 OR list_contains(string_split($methods, ','), method))
), frames AS (
    FROM frames_per_video(val, n := $frames_per_video)
)
SELECT sample_id, partner_id FROM with_partner(frames)
