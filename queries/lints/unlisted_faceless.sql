-- Videos of the same dataset, method, quality and official split in which no face was found, and which the split does not
-- list: figures are then those of the easier videos. A split lists them by selecting from faces_or_none.
WITH groups AS (
    SELECT DISTINCT dataset, method, quality, official_split, recipe_hash FROM picked
), missed AS (
    SELECT f.video_id, f.official_split, f.reason
    FROM faceless f SEMI JOIN groups g
    ON f.dataset = g.dataset AND f.method = g.method AND f.quality = g.quality
       AND f.official_split IS NOT DISTINCT FROM g.official_split AND f.recipe_hash = g.recipe_hash
    WHERE f.video_id NOT IN (SELECT video_id FROM picked_faceless)
      AND f.video_id NOT IN (SELECT video_id FROM picked)
)
SELECT
    CASE WHEN bool_and(official_split = 'train') THEN 'note' ELSE 'warning' END AS severity,
    format('{} videos without any face belong to what is selected here but are not listed: in an evaluation they drop out '
           'of the figures (select from faces_or_none)', count(*)) AS message,
    count(*) AS count,
    list(video_id || ': ' || coalesce(reason, 'no reason given') ORDER BY video_id)[:10] AS examples
FROM missed
HAVING count(*) > 0;
