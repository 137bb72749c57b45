-- One original clip in two splits: itself, or behind fakes made from it.
WITH footages AS (
    SELECT DISTINCT side, place, footage(original_video, video_id) AS footage FROM side_videos
)
SELECT
    a.side AS a, b.side AS b, 'error' AS severity,
    format('{} original clips are in both, themselves or behind a fake', count(*)) AS message,
    count(*) AS count, list(a.footage ORDER BY a.footage)[:10] AS examples
FROM footages a JOIN footages b ON a.footage = b.footage AND a.place < b.place
GROUP BY ALL;
