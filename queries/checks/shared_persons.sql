-- One person on two sides, as faces tell (`deepshard persons`) and names do not: of the people who are seen in the videos and in
-- the originals of the fakes. Clusters of embeddings are evidence: look at the examples before you believe them.
WITH shown AS (
    SELECT side, place, video_id, original_video,
           list_append(identities(target_id, source_id, visible_id), '~clip ' || clip(footage(original_video, video_id)))
               AS names
    FROM side_videos
), seen AS (
    SELECT side, place, person, shown.video_id, names
    FROM shown JOIN persons p ON p.video_id = shown.video_id OR p.video_id = shown.original_video
), sides AS (
    SELECT side, place, person, list_distinct(flatten(list(names))) AS names, min(video_id) AS example
    FROM seen GROUP BY ALL
)
SELECT
    a.side AS a, b.side AS b, 'warning' AS severity,
    format('{} people are in both whom names do not tell of, as clusters of their faces do', count(*)) AS message,
    count(*) AS count, list(a.example || ' and ' || b.example ORDER BY a.example, b.example)[:10] AS examples
FROM sides a JOIN sides b ON a.person = b.person AND a.place < b.place
WHERE NOT list_has_any(a.names, b.names)
GROUP BY ALL;
