-- FF++ with FaceShifter, official training videos, each fake with its original's face in the same frame
-- paper: Implicit Identity Leakage: The Stumbling Block to Improving Deepfake Detection Generalization (Dong et al.), section 5.1
-- reports: 4,320 videos: 720 originals and 3,600 fakes by five methods
-- The detector makes fakes of its own from an original and a fake of it; `partner_id` is that original. How many frames of
-- a training video were used is not said; these are the 32 that the paper tests on. For the cross-method study (table 5, top)
-- train on one method: --param methods=Deepfakes.
-- param quality: raw  (raw, c23 or c40)
-- param methods: 'Deepfakes,Face2Face,FaceSwap,NeuralTextures,FaceShifter'  (with commas between)
-- param frames_per_video: 32  (evenly spaced among the frames with a face)

WITH train AS (
    SELECT * FROM faces
    WHERE dataset = 'ffpp' AND quality = $quality AND official_split = 'train'
      AND (label = 0 OR list_contains(string_split($methods, ','), method))
), frames AS (
    FROM frames_per_video(train, n := $frames_per_video)
)
SELECT sample_id, partner_id FROM with_partner(frames)
