-- The test sides of a list of datasets
-- paper: the thesis on UCF, SBI, Locate and Verify and SPSL, section 3.2
-- table: 4.6 to 4.15, a row each: --param sets=stylegan3
-- reports: accuracy of each set; AUC of those with both classes, CelebDF and DeeperForensics
-- What sets_train.sql leaves for testing: the official test side, or 30 of a hundred original clips. Most sets have one
-- class, so they have no AUC. Sets that no detector was trained on are tested on whole with --param test_percent=100, unless
-- they have an official test side. Videos without any face are listed too.
-- param sets:  (with commas between, as ffpp/original,ffpp/Deepfakes,ffhq)
-- param quality: c23  (of FF++ and DFD: raw, c23 or c40)
-- param frames_per_video: 32  (evenly spaced among the frames with a face)
-- param test_percent: 30  (of a hundred original clips, where a dataset has no official test side)
-- param seed: 1  (of the division)

WITH divided AS (
    SELECT dataset, bool_or(official_split = 'test') AS officially FROM corrected_videos GROUP BY dataset
), test_videos AS (
    SELECT video_id FROM corrected_videos JOIN divided USING (dataset)
    WHERE (quality = $quality OR dataset NOT IN ('ffpp', 'dfd'))
      AND (list_contains(string_split(lower($sets), ','), lower(dataset))
           OR list_contains(string_split(lower($sets), ','), lower(dataset || '/' || method)))
      AND CASE WHEN officially THEN official_split = 'test'
               ELSE md5_number(footage(original_video, video_id) || ':' || $seed) % 100 < $test_percent END
), test AS (
    SELECT * FROM faces_or_none WHERE video_id IN (FROM test_videos)
)
SELECT sample_id, video_id FROM frames_per_video(test, n := $frames_per_video)
