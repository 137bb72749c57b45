-- Videos with few faces weigh less at frame level; if that depends on the label it is a shortcut.
WITH videos AS (
    SELECT video_id, label, count(*) AS faces FROM picked GROUP BY ALL
), means AS (
    SELECT
        avg(faces) FILTER (label = 0) AS of_real, avg(faces) FILTER (label = 1) AS of_fake,
        min(faces) AS fewest, max(faces) AS most, count(*) FILTER (faces < (SELECT max(faces) FROM videos)) AS fewer,
        (SELECT list(video_id || ': ' || faces ORDER BY faces, video_id)[:10] FROM videos) AS examples
    FROM videos
)
SELECT
    CASE WHEN abs(of_real - of_fake) > 0.1 * greatest(of_real, of_fake) THEN 'warning' ELSE 'note' END AS severity,
    format('between {} and {} faces per video (real {}, fake {} on average)', fewest, most,
           coalesce(round(of_real, 1)::VARCHAR, 'none'), coalesce(round(of_fake, 1)::VARCHAR, 'none')) AS message,
    fewer AS count,
    examples
FROM means
WHERE fewest < most;
