-- Videos that came or changed after the last `deepshard duplicates`, or whose faces have no hash: they were not compared by
-- content. Where nobody has looked for duplicates at all, pinning says so.
SELECT
    side AS a, NULL::VARCHAR AS b, 'note' AS severity,
    format('near-duplicates of {} videos were not looked for: run `deepshard features`, then `deepshard duplicates`', count(*))
        AS message,
    count(*) AS count, list(video_id ORDER BY video_id)[:10] AS examples
FROM side_videos ANTI JOIN duplicate_groups USING (video_id, content)
WHERE known AND EXISTS (FROM duplicate_groups)
GROUP BY ALL;
