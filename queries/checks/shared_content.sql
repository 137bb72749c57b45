-- The same file under two names, such as a dataset whose first version lies in its second.
WITH files AS (
    SELECT DISTINCT side, place, video_id, content FROM side_videos WHERE content IS NOT NULL
)
SELECT
    a.side AS a, b.side AS b, 'error' AS severity,
    format('{} files are in both under different names', count(DISTINCT a.content)) AS message,
    count(DISTINCT a.content) AS count,
    list(DISTINCT a.video_id || ' = ' || b.video_id ORDER BY a.video_id || ' = ' || b.video_id)[:10] AS examples
FROM files a JOIN files b ON a.content = b.content AND a.place < b.place AND a.video_id <> b.video_id
GROUP BY ALL;
