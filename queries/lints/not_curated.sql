-- Videos of the same dataset, method, quality and official split that were scanned and never tried with the split's recipe:
-- pinned after the next `deepshard curate` the split would hold other faces.
WITH groups AS (
    SELECT DISTINCT dataset, method, quality, official_split, recipe_hash FROM picked
), untried AS (
    SELECT v.video_id
    FROM corrected_videos v JOIN groups g
    ON v.dataset = g.dataset AND v.method = g.method AND v.quality = g.quality
       AND v.official_split IS NOT DISTINCT FROM g.official_split
    WHERE v.in_scan AND NOT EXISTS (FROM attempts a WHERE a.video_id = v.video_id AND a.recipe_hash = g.recipe_hash)
)
SELECT
    'warning' AS severity,
    format('{} videos that belong to what is selected here are not curated yet: the split is of a part of them', count(*))
        AS message,
    count(*) AS count,
    list(video_id ORDER BY video_id)[:10] AS examples
FROM untried
HAVING count(*) > 0;
