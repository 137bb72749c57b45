-- Videos of people whom nobody named: that they are on one side only cannot be checked.
SELECT
    side AS a, NULL::VARCHAR AS b, 'note' AS severity,
    format('the people in {} videos are not known, so they were not compared', count(*)) AS message,
    count(*) AS count, list(video_id ORDER BY video_id)[:10] AS examples
FROM side_videos
WHERE known AND len(identities(target_id, source_id, visible_id)) = 0
GROUP BY ALL;
