-- Fakes without a partner in a split that gives partners: what learns from pairs skips them or stops.
SELECT
    'warning' AS severity,
    format('{} of {} fake faces have no partner_id', count(*) FILTER (partner_id IS NULL), count(*)) AS message,
    count(*) FILTER (partner_id IS NULL) AS count,
    (list(sample_id ORDER BY sample_id) FILTER (partner_id IS NULL))[:10] AS examples
FROM picked
WHERE label = 1
HAVING count(partner_id) BETWEEN 1 AND count(*) - 1;
