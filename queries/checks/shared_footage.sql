-- One original clip in two splits: itself, or behind fakes made from it, in any quality and any dataset. FaceShifter,
-- DeeperForensics and DF40 are made from the originals of FF++ and lead back to them here.
WITH footages AS (
    SELECT DISTINCT side, place, dataset, footage(original_video, video_id) AS footage,
           clip(footage(original_video, video_id)) AS clip
    FROM side_videos
), shared AS (
    SELECT a.side AS a, b.side AS b, a.clip,
           CASE WHEN min(a.footage) = min(b.footage) THEN min(a.footage)
                ELSE min(a.footage) || ' = ' || min(b.footage) END AS example,
           CASE WHEN bool_or(a.dataset = b.dataset) THEN NULL
                ELSE format(' ({} there, {} here)', min(a.dataset), min(b.dataset)) END AS datasets
    FROM footages a JOIN footages b ON a.clip = b.clip AND a.place < b.place
    GROUP BY ALL
)
SELECT
    a, b, 'error' AS severity,
    format('{} original clips are in both, themselves or behind a fake{}', count(*), coalesce(datasets, '')) AS message,
    count(*) AS count, list(example ORDER BY example)[:10] AS examples
FROM shared
GROUP BY a, b, datasets;
