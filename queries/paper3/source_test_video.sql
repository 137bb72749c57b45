-- Test videos of the source domain: consecutive frames of the videos that are not trained on
-- paper: on Deepfake detection across distributions by domain adaptation (of its text only a part is at hand)
-- reports: figures by video; a video is fake "if over 50 percent of its frames are classified as fake"
-- That figure is a question to the catalog's predictions: docs/look.md has it.
-- The text at hand has lost the names of its datasets and its table 1: which sets they are must be given.
-- The faces are those of consecutive frames from a video's first with a face on, so the store must be curated with them:
-- --sampling "every 1". Frames without a face are gaps. Give the parameters with which domains_train was pinned. Videos without
-- any face are listed too.
-- param source_dataset:  (of the source domain, as ffpp)
-- param source_method:  (its fakes, as Deepfakes)
-- param source_quality:  (as c23; native where a dataset has only one)
-- param real_percent: 90  (real videos for training, of a hundred)
-- param fake_percent: 70  (fake videos for training, of a hundred)
-- param frames: 100  (consecutive frames of each video)
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
), counted AS (
    SELECT *, min(frame_index) OVER (PARTITION BY video_id, recipe_hash) AS first_frame FROM test
)
SELECT sample_id, video_id, role FROM counted WHERE sample_id IS NULL OR frame_index < first_frame + $frames
