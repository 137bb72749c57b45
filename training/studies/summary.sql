-- Each figure once per detector: its mean over seeds, the standard deviation over seeds (from two on), the interval of the
-- bootstrap, the paper's value and the distance from it. The seeds' mean is taken within each draw, in which all seeds see
-- the same videos; so the interval is that of new videos, and the deviation that of new trainings.
WITH seeds AS (
    SELECT detector, figure, draw, avg(value) AS value, stddev_samp(value) AS deviation, count(*) AS seeds
    FROM figures GROUP BY ALL
), intervals AS (
    SELECT
        detector, figure,
        any_value(value) FILTER (draw = 0) AS value,
        any_value(deviation) FILTER (draw = 0) AS deviation,
        any_value(seeds) FILTER (draw = 0) AS seeds,
        quantile_cont(value, (1 - getvariable('level')) / 2) FILTER (draw > 0) AS low,
        quantile_cont(value, (1 + getvariable('level')) / 2) FILTER (draw > 0) AS high
    FROM seeds GROUP BY ALL
)
SELECT detector, figure, i.value, low, high, deviation, seeds, published.value AS paper, i.value - published.value AS distance
FROM intervals i LEFT JOIN published USING (detector, figure)
ORDER BY detector, figure
