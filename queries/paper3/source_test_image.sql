-- Test images of the source domain: frames at regular intervals of the videos that are not trained on
-- paper: on Deepfake detection across distributions by domain adaptation (of its text only a part is at hand)
-- reports: figures by image; "testing images are extracted by splitting an input video at regular intervals"
-- The text at hand has lost the names of its datasets and its table 1: which sets they are must be given.
-- How many images a video gives was lost too. Give the parameters with which domains_train was pinned.
-- Videos without any face are listed too.
-- param source_dataset:  (of the source domain, as ffpp)
-- param source_method:  (its fakes, as Deepfakes)
-- param source_quality:  (as c23; native where a dataset has only one)
-- param real_percent: 90  (real videos for training, of a hundred)
-- param fake_percent: 70  (fake videos for training, of a hundred)
-- param frames_per_video: 10  (evenly spaced among the frames with a face)
-- param seed: 1  (of the division into training and test)

WITH not_trained_on AS (
    SELECT video_id FROM corrected_videos
    WHERE dataset = $source_dataset
      AND md5_number(footage(original_video, video_id) || ':' || $seed) % 100
          >= CASE label WHEN 0 THEN $real_percent ELSE $fake_percent END
), test AS (
    SELECT *, 'source' AS role FROM faces_or_none
    WHERE dataset = $source_dataset AND quality = $source_quality AND (label = 0 OR method = $source_method)
      AND video_id IN (FROM not_trained_on)
)
SELECT sample_id, video_id, role FROM frames_per_video(test, n := $frames_per_video)
