-- Training faces of two domains: the source with labels, the target to be used without
-- paper: on Deepfake detection across distributions by domain adaptation (of its text only a part is at hand)
-- reports: "about 90% of real videos and 70% of fake ones" for training
-- The text at hand has lost the names of its datasets and its table 1: which sets they are must be given.
-- `role` is source or target. Labels of the target are in the catalog and in the pin: whoever trains must not read them.
-- A video's side depends on its original clip and the seed, so that a fake for training has its original there too; with 90
-- and 70 of a hundred, originals of some test fakes are trained on, as in the paper. Sets on FF++'s footage have the same
-- originals in both domains: then a real face could be of either, and it is of the source.
-- param source_dataset:  (of the source domain, as ffpp)
-- param source_method:  (its fakes, as Deepfakes)
-- param source_quality:  (as c23; native where a dataset has only one)
-- param target_dataset:  (of the target domain)
-- param target_method:  (its fakes)
-- param target_quality:  (as c23; native where a dataset has only one)
-- param real_percent: 90  (real videos for training, of a hundred)
-- param fake_percent: 70  (fake videos for training, of a hundred)
-- param frames_per_video: 10  (evenly spaced among the frames with a face)
-- param seed: 1  (of the division into training and test)

WITH trained_on AS (
    SELECT video_id FROM corrected_videos
    WHERE dataset IN ($source_dataset, $target_dataset)
      AND md5_number(footage(original_video, video_id) || ':' || $seed) % 100
          < CASE label WHEN 0 THEN $real_percent ELSE $fake_percent END
), source_videos AS (
    SELECT *, 'source' AS role FROM faces
    WHERE dataset = $source_dataset AND quality = $source_quality AND (label = 0 OR method = $source_method)
      AND video_id IN (FROM trained_on)
), target_videos AS (
    SELECT *, 'target' AS role FROM faces
    WHERE dataset = $target_dataset AND quality = $target_quality AND (label = 0 OR method = $target_method)
      AND video_id IN (FROM trained_on)
), both_domains AS (
    FROM source_videos UNION ALL (SELECT * FROM target_videos WHERE video_id NOT IN (SELECT video_id FROM source_videos))
)
SELECT sample_id, role FROM frames_per_video(both_domains, n := $frames_per_video)
