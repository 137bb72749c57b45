-- One video in two splits, be it with other frames: its person, light and compression are known from the other one.
SELECT
    a.side AS a, b.side AS b, 'error' AS severity, format('{} videos are in both', count(*)) AS message,
    count(*) AS count, list(a.video_id ORDER BY a.video_id)[:10] AS examples
FROM side_videos a JOIN side_videos b ON a.video_id = b.video_id AND a.place < b.place
GROUP BY ALL;
