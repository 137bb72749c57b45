-- Two videos that are the same file: counted twice, and a contradiction where their labels differ.
WITH files AS (
    SELECT content, list(DISTINCT video_id ORDER BY video_id) AS videos, count(DISTINCT label) AS labels
    FROM picked GROUP BY content HAVING count(DISTINCT video_id) > 1
)
SELECT
    CASE WHEN max(labels) > 1 THEN 'error' ELSE 'warning' END AS severity,
    format('{} files are here under more than one name{}', count(*),
           CASE WHEN max(labels) > 1 THEN ', some of them both as real and as fake' ELSE '' END) AS message,
    count(*) AS count,
    list(array_to_string(videos, ' = ') ORDER BY labels DESC, videos)[:10] AS examples
FROM files
HAVING count(*) > 0;
