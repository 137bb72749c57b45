-- FF++'s four methods pooled, official test videos; of one method with --param methods=FaceSwap
-- paper: Implicit Identity Leakage: The Stumbling Block to Improving Deepfake Detection Generalization (Dong et al.), section 5.3
-- table: 5, top: columns DF, F2F, FS, NT (one method each) and FF++ (pooled)
-- reports: 76.34 pooled for Xception trained on DF, 79.55 on F2F, 74.91 on FS, 83.42 on NT; AUC by video
-- With the same originals and equally many fakes the pooled AUC is the mean of the four. The published ones fit that for F2F and
-- for the paper's own models, but not for Xception trained on DF (76.34, mean 75.99) and on NT (83.42, mean 81.35).
-- Whether FaceShifter is in the column FF++ is not said; the means say no.
-- param quality: raw  (raw, c23 or c40)
-- param methods: 'Deepfakes,Face2Face,FaceSwap,NeuralTextures'  (with commas between)
-- param frames_per_video: 32  (evenly spaced among the frames with a face)

WITH test AS (
    SELECT * FROM faces_or_none
    WHERE dataset = 'ffpp' AND quality = $quality AND official_split = 'test'
      AND (label = 0 OR list_contains(string_split($methods, ','), method))
)
SELECT sample_id, video_id FROM frames_per_video(test, n := $frames_per_video)
