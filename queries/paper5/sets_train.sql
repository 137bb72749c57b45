-- The training sides of a list of datasets
-- paper: the thesis on UCF, SBI, Locate and Verify and SPSL, section 3.2
-- reports: official divisions where there are, else "approximately 30% of the data as the test set"
-- A dataset that has an official test side is divided by it; of any other 30 of a hundred original clips are for testing,
-- with the fakes known to be made from them. sets_test.sql is the other side. Sets are named as `dataset`, or
-- `dataset/method` for a part of one; capitals do not matter. The thesis does not say how many frames of a video it takes.
-- param sets:  (with commas between, as ffpp/original,ffpp/Deepfakes,ffhq)
-- param quality: c23  (of FF++ and DFD: raw, c23 or c40)
-- param frames_per_video: 32  (evenly spaced among the frames with a face)
-- param test_percent: 30  (of a hundred original clips, where a dataset has no official test side)
-- param seed: 1  (of the division)

WITH divided AS (
    SELECT dataset, bool_or(official_split = 'test') AS officially FROM corrected_videos GROUP BY dataset
), train_videos AS (
    SELECT video_id FROM corrected_videos JOIN divided USING (dataset)
    WHERE (quality = $quality OR dataset NOT IN ('ffpp', 'dfd'))
      AND (list_contains(string_split(lower($sets), ','), lower(dataset))
           OR list_contains(string_split(lower($sets), ','), lower(dataset || '/' || method)))
      AND CASE WHEN officially THEN official_split = 'train'
               ELSE md5_number(footage(original_video, video_id) || ':' || $seed) % 100 >= $test_percent END
), train AS (
    SELECT * FROM faces WHERE video_id IN (FROM train_videos)
)
SELECT sample_id FROM frames_per_video(train, n := $frames_per_video)
