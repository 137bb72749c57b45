-- Faces whose bytes are not there: the tar is gone or ends too early. `tars` is what the disk said a moment ago.
SELECT
    'error' AS severity,
    format('{} faces lie in {} shards whose tar is gone or too short: training and evaluation will stop there. Bring the '
           'shards back, or curate these videos again', count(*), count(DISTINCT shard)) AS message,
    count(*) AS count,
    list(DISTINCT shard || '.tar: ' || state ORDER BY shard || '.tar: ' || state)[:10] AS examples
FROM (
    SELECT shard FROM picked
    UNION ALL
    SELECT partner_shard FROM picked WHERE partner_shard IS NOT NULL
) JOIN tars USING (shard)
WHERE state <> 'there'
HAVING count(*) > 0;
