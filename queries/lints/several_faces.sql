-- Several faces of one frame, all labelled fake: the label is the video's, and as a rule one person in it was manipulated.
-- A recipe that keeps one face takes the one that overlaps the manipulation mask, where there is a mask.
WITH frames AS (
    SELECT video_id, frame_index, count(*) AS faces FROM picked WHERE label = 1 GROUP BY ALL HAVING count(*) > 1
)
SELECT
    'warning' AS severity,
    format('{} frames of {} fake videos have several faces, all of them labelled fake, though perhaps one was manipulated: '
           'take a recipe that keeps one face, or choose the track', count(*), count(DISTINCT video_id)) AS message,
    count(*) AS count,
    list(format('{} frame {}: {} faces', video_id, frame_index, faces) ORDER BY video_id, frame_index)[:10] AS examples
FROM frames
HAVING count(*) > 0;
