-- In how many of the frames that were read for a face one was found, by label: a detector of fakes must not be a detector
-- of missed faces. Over all videos of the same dataset, method, quality, official split and recipe as the split's.
WITH groups AS (
    SELECT DISTINCT dataset, method, quality, official_split, recipe_hash FROM picked
), tried AS (
    SELECT a.* FROM current_attempts a SEMI JOIN groups g
    ON a.dataset = g.dataset AND a.method = g.method AND a.quality = g.quality
       AND a.official_split IS NOT DISTINCT FROM g.official_split AND a.recipe_hash = g.recipe_hash
    WHERE a.frames_wanted > 0
), by_method AS (
    SELECT dataset || '/' || method AS method, label, sum(frames_with_face) / sum(frames_wanted) AS yield
    FROM tried GROUP BY ALL
), by_label AS (
    SELECT
        sum(frames_with_face) FILTER (label = 0) / sum(frames_wanted) FILTER (label = 0) AS of_real,
        sum(frames_with_face) FILTER (label = 1) / sum(frames_wanted) FILTER (label = 1) AS of_fake
    FROM tried
)
SELECT
    CASE WHEN abs(of_real - of_fake) > 0.02 THEN 'warning' ELSE 'note' END AS severity,
    format('a face was found in {}% of the frames of real and {}% of fake videos: what was missed depends on the label',
           round(100 * of_real, 1), round(100 * of_fake, 1)) AS message,
    (SELECT count(*) FROM tried WHERE frames_with_face < frames_wanted) AS count,
    (SELECT list(format('{}: {}%', method, round(100 * yield, 1)) ORDER BY yield, method)[:10] FROM by_method) AS examples
FROM by_label
WHERE abs(of_real - of_fake) > 0.005;
