-- Original clips under two names that are one file, one of them or both behind fakes: Celeb-DF v1's fakes were made from
-- clips of v2. Known where the originals were tried with some recipe; the names alone prove nothing.
WITH contents AS (
    SELECT DISTINCT video_id AS footage, content FROM attempts WHERE content IS NOT NULL AND current
), originals AS (
    SELECT DISTINCT side, place, footage, content
    FROM (SELECT side, place, footage(original_video, video_id) AS footage FROM side_videos) JOIN contents USING (footage)
)
SELECT
    a.side AS a, b.side AS b, 'error' AS severity,
    format('{} original clips are in both under different names, themselves or behind a fake', count(DISTINCT a.content))
        AS message,
    count(DISTINCT a.content) AS count,
    list(DISTINCT a.footage || ' = ' || b.footage ORDER BY a.footage || ' = ' || b.footage)[:10] AS examples
FROM originals a JOIN originals b ON a.content = b.content AND a.place < b.place AND clip(a.footage) <> clip(b.footage)
GROUP BY ALL;
