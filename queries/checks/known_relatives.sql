-- FF++ sequences that are clips of one YouTube video, or show one person, though their numbers differ and the official
-- split puts them on different sides. From the dataset's list of YouTube ids, and its users' reports.
WITH related AS (
    SELECT 'ffpp:' || one AS one, 'ffpp:' || other AS other FROM ffpp_relatives()
), people AS (
    SELECT DISTINCT side, place, unnest(identities(target_id, source_id, visible_id)) AS person FROM side_videos
)
SELECT
    a.side AS a, b.side AS b, 'warning' AS severity,
    format('{} pairs of FF++ sequences are clips of one YouTube video or show one person, one on each side', count(*))
        AS message,
    count(*) AS count, list(a.person || ' and ' || b.person ORDER BY a.person, b.person)[:10] AS examples
FROM people a JOIN related ON a.person = one JOIN people b ON b.person = other AND a.place < b.place
GROUP BY ALL;
