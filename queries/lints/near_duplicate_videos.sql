-- Videos of the split that show the same footage in the same state under several names, as their faces tell (`deepshard
-- duplicates`): it counts several times. Forgeries of it are no duplicates, nor are other qualities of one clip; videos that
-- are one file are found by same_content.
WITH several AS (
    SELECT duplicate_group FROM duplicate_groups GROUP BY duplicate_group HAVING count(*) > 1
), videos AS (
    SELECT DISTINCT video_id, content, duplicate_group
    FROM picked JOIN duplicate_groups USING (video_id, content) SEMI JOIN several USING (duplicate_group)
), groups AS (
    SELECT list(video_id ORDER BY video_id) AS videos
    FROM videos GROUP BY duplicate_group
    HAVING count(DISTINCT clip(video_id)) > 1 AND count(DISTINCT content) > 1
)
SELECT
    'warning' AS severity,
    format('{} groups of videos show the same footage under several names, {} videos in all: it counts that often '
           '(table duplicate_matches has the evidence)', count(*), sum(len(videos))) AS message,
    count(*) AS count,
    list(array_to_string(videos[:4], ' = ') || CASE WHEN len(videos) > 4 THEN ' = ...' ELSE '' END ORDER BY videos)[:10]
        AS examples
FROM groups
HAVING count(*) > 0;
