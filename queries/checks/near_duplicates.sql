-- The same footage on two sides under different names, as the faces tell (`deepshard duplicates`): copies of a clip, encoded
-- again, cut or shifted, within one dataset or in two; or a clip and a forgery of it, or two forgeries. Other qualities of one
-- clip, and what the datasets tell of forgeries themselves, are found by shared_footage, files that are the same by
-- shared_content.
WITH videos AS (
    SELECT DISTINCT side, place, video_id, content, clip(footage(original_video, video_id)) AS clip, duplicate_group,
                    footage_group
    FROM side_videos JOIN duplicate_groups USING (video_id, content)
), kinds AS (
    SELECT *, 'copy' AS kind, duplicate_group AS shown FROM videos
    UNION ALL SELECT *, 'forgery' AS kind, footage_group AS shown FROM videos
), extremes AS (
    SELECT
        side, place, kind, shown, any_value(footage_group) AS footage_group, min(clip) AS first_clip, max(clip) AS last_clip,
        min(content) AS first_content, max(content) AS last_content,
        arg_min(video_id, (clip, video_id)) AS first_video, arg_max(video_id, (clip, video_id)) AS last_video
    FROM kinds GROUP BY ALL
), shared AS (
    SELECT
        a.side AS a, b.side AS b, a.kind, a.footage_group,
        CASE WHEN a.first_clip <> b.last_clip THEN a.first_video || ' = ' || b.last_video
             ELSE a.last_video || ' = ' || b.first_video END AS example
    FROM extremes a JOIN extremes b ON a.kind = b.kind AND a.shown = b.shown AND a.place < b.place
    WHERE least(a.first_clip, b.first_clip) <> greatest(a.last_clip, b.last_clip)
      AND least(a.first_content, b.first_content) <> greatest(a.last_content, b.last_content)
), copies AS (
    FROM shared WHERE kind = 'copy'
)
SELECT
    a, b, 'error' AS severity,
    format(CASE kind WHEN 'copy' THEN '{} clips are in both under different names, as their faces tell'
                     ELSE '{} clips are behind videos of both under different names, as their faces tell: forgeries of it, or '
                          'it and a forgery' END, count(*)) AS message,
    count(*) AS count, list(example ORDER BY example)[:10] AS examples
FROM (FROM copies UNION ALL FROM shared ANTI JOIN copies USING (a, b, footage_group))
GROUP BY a, b, kind;
