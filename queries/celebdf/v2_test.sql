-- Celeb-DF v2, the official test list
-- paper: Celeb-DF: A Large-scale Challenging Dataset for DeepFake Forensics (Li, Yang, Sun, Qi, Lyu)
-- 518 videos: 108 Celeb-real, 70 YouTube-real, 340 fake. (In the published list 1 is real and 0 is fake; labels here are the
-- catalog's, 1 is fake.) Videos without any face are listed too, so that figures by video count every video.
-- 234 of the 340 fakes have their original clip on the training side, and 56 of the 59 people are on this list.
-- param frames_per_video: 10  (evenly spaced among the frames with a face)

WITH test AS (
    SELECT * FROM faces_or_none WHERE dataset = 'celebdf-v2' AND official_split = 'test'
)
SELECT sample_id, video_id FROM frames_per_video(test, n := $frames_per_video)
