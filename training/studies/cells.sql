-- The trace of every accuracy: run, checkpoint, split, recipe, and how many faces and videos it is made of. One row for each
-- detector, test set and seed; `observed` is what videos.sql gives.
SELECT
    detector, test, seed, run_id, checkpoint, split, split_hash, any_value(recipe_hash) AS recipe_hash,
    sum(images)::BIGINT AS images, count(DISTINCT video_id) AS videos, 100.0 * sum(correct) / sum(images) AS accuracy
FROM observed LEFT JOIN recipe_of USING (split_hash)
GROUP BY detector, test, seed, run_id, checkpoint, split, split_hash
ORDER BY ALL
