-- One side of a set of images and what a method made of them, divided by image, half real
-- paper: Towards Generalizable Deepfake Detection with Locality-aware AutoEncoder (Du, Pentyala, Li, Hu), section 3.1
-- What attribute_*.sql and inpainting_*.sql have in common. An image and all that was made of it are on one side, which is told
-- by its `target_id` (`scan folder paper4/attribute` and `paper4/inpainting` give it) and the seed.
-- param dataset:  (as attribute)
-- param method:  (its fakes, as StarGAN)
-- param from_percent: 0  (the side has the images from here, of a hundred)
-- param below_percent: 100  (to there)
-- param each: 1000000000  (faces of each label, where there are that many)
-- param seed: 1  (of the division and the draw)

WITH of_the_side AS (
    SELECT video_id FROM corrected_videos
    WHERE dataset = $dataset
      AND md5_number(coalesce(target_id, video_id) || ':' || $seed) % 100 >= $from_percent
      AND md5_number(coalesce(target_id, video_id) || ':' || $seed) % 100 < $below_percent
), side AS (
    SELECT * FROM faces_or_none
    WHERE dataset = $dataset AND (label = 0 OR method = $method) AND video_id IN (FROM of_the_side)
)
SELECT sample_id, video_id FROM balanced(side, n := $each, seed := $seed)
