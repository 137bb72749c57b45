-- FaceShifter and the originals, FF++'s official test videos
-- 140 real and 140 fake videos; those without any face are listed too, so that figures by video count every video.
-- param quality: c23  (raw, c23 or c40)
-- param frames_per_video: 10  (evenly spaced among the frames with a face)

WITH test AS (
    SELECT * FROM faces_or_none
    WHERE dataset = 'ffpp' AND quality = $quality AND official_split = 'test'
      AND method IN ('FaceShifter', 'original')
)
SELECT sample_id, video_id FROM frames_per_video(test, n := $frames_per_video)
