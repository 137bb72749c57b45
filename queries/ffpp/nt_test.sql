-- NeuralTextures and the originals, FF++'s official test videos
-- paper: How Generalizable are Deepfake Image Detectors? An Empirical Study (Li, Sun, Poskitt, Wang)
-- table: 5, column NT
-- reports: 52.20 % for MesoNet4, trained on F2F, on 2,000 images, half real
-- The paper draws 2,000 images from its 2,800 and does not say how; this is all of them, so that figures by video count every
-- video. Videos without any face are listed too.
-- param quality: c23  (raw, c23 or c40)
-- param frames_per_video: 10  (evenly spaced among the frames with a face)

WITH test AS (
    SELECT * FROM faces_or_none
    WHERE dataset = 'ffpp' AND quality = $quality AND official_split = 'test'
      AND method IN ('NeuralTextures', 'original')
)
SELECT sample_id, video_id FROM frames_per_video(test, n := $frames_per_video)
