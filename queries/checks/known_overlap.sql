-- Two datasets, or methods of them, that are known to hold the same footage: whether these two splits share any is for the
-- checks of footage and content to find, which see only what names and files tell.
WITH parts AS (
    SELECT DISTINCT side, place, unnest([dataset, dataset || '/' || method]) AS part FROM side_videos WHERE known
), footage AS (
    SELECT one, other, said_by FROM aliases WHERE kind = 'footage'
    UNION SELECT other, one, said_by FROM aliases WHERE kind = 'footage'
)
SELECT
    a.side AS a, b.side AS b, 'note' AS severity,
    'datasets of both are known to hold the same footage: look for shared footage and files above, and curate what these '
        'are compared with' AS message,
    count(*) AS count,
    list(format('{} and {} ({})', a.part, b.part, said_by) ORDER BY a.part, b.part)[:10] AS examples
FROM parts a JOIN footage ON a.part = one JOIN parts b ON b.part = other AND a.place < b.place
WHERE split_part(one, '/', 1) <> split_part(other, '/', 1)
GROUP BY ALL;
