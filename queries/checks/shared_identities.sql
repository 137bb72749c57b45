-- One person in two splits, as target, as source or as the one who is seen.
WITH people AS (
    SELECT DISTINCT side, place, unnest(identities(target_id, source_id, visible_id)) AS person FROM side_videos
)
SELECT
    a.side AS a, b.side AS b, 'warning' AS severity,
    format('{} people are in both (as target, source or visible)', count(*)) AS message,
    count(*) AS count, list(a.person ORDER BY a.person)[:10] AS examples
FROM people a JOIN people b ON a.person = b.person AND a.place < b.place
GROUP BY ALL;
