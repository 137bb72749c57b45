-- Fakes whose partner is a frame of their original clip, but not the same one: clips differ in length, so that the n-th of
-- each one's frames are different moments. Frames are paired by absolute index, as with_partner does.
SELECT
    'warning' AS severity,
    format('{} of {} fake faces go with another frame of their original clip: pair by frame_index (macro with_partner)',
           count(*) FILTER (p.frame_index <> o.frame_index), count(*)) AS message,
    count(*) FILTER (p.frame_index <> o.frame_index) AS count,
    (list(format('{} frame {} with frame {}', p.video_id, p.frame_index, o.frame_index) ORDER BY p.sample_id)
        FILTER (p.frame_index <> o.frame_index))[:10] AS examples
FROM picked p JOIN samples o ON o.sample_id = p.partner_id AND o.shard = p.partner_shard
WHERE p.label = 1 AND o.video_id = p.original_video
HAVING count(*) FILTER (p.frame_index <> o.frame_index) > 0;
