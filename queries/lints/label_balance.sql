-- How many real and how many fake faces there are.
WITH counts AS (
    SELECT count(*) FILTER (label = 0) AS reals, count(*) FILTER (label = 1) AS fakes FROM picked
)
SELECT
    CASE WHEN least(reals, fakes) = 0 OR greatest(reals, fakes) > 1.5 * least(reals, fakes) THEN 'warning'
         ELSE 'note' END AS severity,
    CASE WHEN least(reals, fakes) = 0
         THEN format('there is only one class: {} real and {} fake faces', reals, fakes)
         ELSE format('{} real and {} fake faces: accuracy at a threshold depends on that', reals, fakes)
    END AS message,
    abs(reals - fakes) AS count,
    []::VARCHAR[] AS examples
FROM counts
WHERE greatest(reals, fakes) > 1.02 * least(reals, fakes);
