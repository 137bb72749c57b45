-- How well one column of metadata alone tells the label, as the area under its ROC curve (Mann-Whitney: ties count half).
-- Words are ordered by their share of fakes. Over at most 100,000 faces of each label. Faces of one video are alike, so
-- what chance can do is judged by the number of videos: two standard deviations of the area where nothing is to be told.
WITH drawn AS (
    FROM per_class(picked, n := 100000, seed := 0)
), cells AS (
    SELECT label, unnest([
        {'name': 'dataset', 'value': avg(label) OVER (PARTITION BY dataset)},
        {'name': 'quality', 'value': avg(label) OVER (PARTITION BY quality)},
        {'name': 'codec', 'value': avg(label) OVER (PARTITION BY codec)},
        {'name': 'image format', 'value': avg(label) OVER (PARTITION BY image_ext)},
        {'name': 'width', 'value': width::DOUBLE},
        {'name': 'height', 'value': height::DOUBLE},
        {'name': 'fps', 'value': fps},
        {'name': 'frames of the video', 'value': frame_count::DOUBLE},
        {'name': 'bytes of the file', 'value': bytes::DOUBLE},
        {'name': 'face_px', 'value': face_px::DOUBLE},
        {'name': 'brightness', 'value': brightness::DOUBLE}
    ], recursive := true)
    FROM drawn
), counts AS (
    SELECT
        name, coalesce(value, '-inf'::DOUBLE) AS value,
        count(*) FILTER (label = 0) AS reals, count(*) FILTER (label = 1) AS fakes
    FROM cells GROUP BY ALL
), ranked AS (
    SELECT *, sum(reals) OVER (PARTITION BY name ORDER BY value) - reals AS reals_below FROM counts
), areas AS (
    SELECT name, sum(fakes * (reals_below + reals / 2)) / (sum(reals) * sum(fakes)) AS area
    FROM ranked GROUP BY name HAVING sum(reals) > 0 AND sum(fakes) > 0
), told AS (
    SELECT name, greatest(area, 1 - area) AS area FROM areas
), videos AS (
    SELECT
        count(DISTINCT video_id) FILTER (label = 0) AS reals, count(DISTINCT video_id) FILTER (label = 1) AS fakes
    FROM drawn
)
SELECT
    CASE WHEN max(area) - 0.5 > 2 * any_value(sqrt((reals + fakes + 1) / (12 * reals * fakes))) THEN 'warning'
         ELSE 'note' END AS severity,
    format('{} alone tells real from fake with an area under the curve of {} ({} real and {} fake videos)',
           arg_max(name, (area, name)), round(max(area), 3), any_value(reals), any_value(fakes)) AS message,
    count(*) AS count,
    list(format('{}: {}', name, round(area, 3)) ORDER BY area DESC, name) AS examples
FROM told, videos
WHERE area > 0.6
HAVING count(*) > 0;
