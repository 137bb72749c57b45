-- NeuralTextures and the originals, FF++'s official validation videos
-- For choosing a checkpoint. 70 pairs of sequences: 140 real and 140 fake videos.
-- param quality: c23  (raw, c23 or c40)
-- param frames_per_video: 10  (evenly spaced among the frames with a face)

WITH val AS (
    SELECT * FROM faces
    WHERE dataset = 'ffpp' AND quality = $quality AND official_split = 'val'
      AND method IN ('NeuralTextures', 'original')
)
SELECT sample_id FROM frames_per_video(val, n := $frames_per_video)
