-- Fakes whose partner is a frame of their original clip, but not the same one: clips differ in length, so that the n-th of
-- each one's frames are different moments. Frames are paired by absolute index, as with_partner does.
SELECT
    'warning' AS severity,
    format('{} of {} fake faces go with another frame of their original clip: pair by frame_index (macro with_partner)',
           count(*) FILTER (frame_index <> partner_frame_index), count(*)) AS message,
    count(*) FILTER (frame_index <> partner_frame_index) AS count,
    (list(format('{} frame {} with frame {}', video_id, frame_index, partner_frame_index) ORDER BY sample_id)
        FILTER (frame_index <> partner_frame_index))[:10] AS examples
FROM picked
WHERE label = 1 AND partner_video_id = original_video
HAVING count(*) FILTER (frame_index <> partner_frame_index) > 0;
