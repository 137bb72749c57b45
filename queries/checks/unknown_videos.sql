-- Videos that this catalog does not know: nothing can be said about their footage and people.
SELECT
    side AS a, NULL::VARCHAR AS b, 'error' AS severity,
    format('{} videos are not in this catalog, so their footage and people were not compared', count(*)) AS message,
    count(*) AS count, list(video_id ORDER BY video_id)[:10] AS examples
FROM side_videos
WHERE NOT known
GROUP BY ALL;
