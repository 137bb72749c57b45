-- How many faces there are of each method of forgery: the most frequent one decides what a figure over all of them says.
WITH methods AS (
    SELECT dataset || '/' || method AS method, count(*) AS faces FROM picked WHERE label = 1 GROUP BY ALL
)
SELECT
    CASE WHEN max(faces) > 1.5 * min(faces) THEN 'warning' ELSE 'note' END AS severity,
    format('of {} methods of forgery the most frequent has {} faces and the rarest {}', count(*), max(faces), min(faces))
        AS message,
    max(faces) - min(faces) AS count,
    list(format('{}: {}', method, faces) ORDER BY faces DESC, method)[:10] AS examples
FROM methods
HAVING max(faces) > 1.02 * min(faces);
