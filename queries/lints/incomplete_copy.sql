-- Folders from which the split selects and of which this copy lacks videos, against the published names or counts: a named
-- set is not the published one then, and its figures are of other videos.
WITH folders AS (
    SELECT DISTINCT source, dataset, method, quality FROM picked
    UNION SELECT DISTINCT source, dataset, method, quality FROM picked_faceless
), short AS (
    SELECT e.* REPLACE (coalesce(expected, found + missing + unnamed) AS expected), missing + unnamed AS lacking
    FROM expectations e SEMI JOIN folders USING (source, dataset, method, quality)
    WHERE e.missing + e.unnamed > 0
)
SELECT
    'warning' AS severity,
    format('{} of {} published videos are not in this copy of the dataset: what is selected is not the published set',
           sum(lacking), sum(expected)) AS message,
    sum(lacking)::BIGINT AS count,
    list(format('{}/{}/{}{}: {} of {} are missing', dataset, method, quality, coalesce(' ' || part, ''), lacking, expected)
         ORDER BY lacking DESC, dataset, method, quality, part)[:10] AS examples
FROM short
HAVING count(*) > 0;
