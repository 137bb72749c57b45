-- Videos whose faces were not compared with all others: near-duplicates among them, or on the other side of a split, are not
-- known. They came after the last `deepshard duplicates`, have changed since, have no hash, or one that says nothing.
WITH videos AS (
    SELECT DISTINCT video_id, content FROM picked
), unknown AS (
    SELECT video_id FROM videos ANTI JOIN duplicate_groups USING (video_id, content)
)
SELECT
    'note' AS severity,
    CASE WHEN (SELECT count(*) FROM duplicate_groups) = 0 THEN 'near-duplicates were not looked for'
         ELSE format('near-duplicates of {} of {} videos were not looked for', count(*), (SELECT count(*) FROM videos))
    END || ': run `deepshard features`, then `deepshard duplicates`' AS message,
    count(*) AS count,
    list(video_id ORDER BY video_id)[:10] AS examples
FROM unknown
HAVING count(*) > 0;
