-- The very same face in two splits: a figure measured on a training set, or a validation set that is the test set.
SELECT
    a.side AS a, b.side AS b, 'error' AS severity,
    format('{} of {} and {} faces are the same', count(*), any_value(x.faces), any_value(y.faces)) AS message,
    count(*) AS count, list(a.sample_id ORDER BY a.sample_id)[:10] AS examples
FROM members a JOIN members b ON a.sample_id = b.sample_id AND a.place < b.place
JOIN sides x ON x.side = a.side JOIN sides y ON y.side = b.side
GROUP BY ALL;
