-- People who are recorded under two names, or clips of one recording, such as FF++ sequences cut from one YouTube video, which
-- the official split puts on different sides. What is recorded stands in the table aliases, with who said it.
WITH people AS (
    SELECT DISTINCT side, place, unnest(identities(target_id, source_id, visible_id)) AS person FROM side_videos
)
SELECT
    a.side AS a, b.side AS b, 'warning' AS severity,
    format('{} pairs of identities are one person, or clips of one recording, under two names, one on each side', count(*))
        AS message,
    count(*) AS count, list(a.person || ' and ' || b.person ORDER BY a.person, b.person)[:10] AS examples
FROM people a JOIN relatives ON a.person = one JOIN people b ON b.person = other AND a.place < b.place
GROUP BY ALL;
