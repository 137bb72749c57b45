-- The same picture of a face, byte for byte, under two names: frames that somebody copied or packed anew into another file.
SELECT
    a.side AS a, b.side AS b, 'error' AS severity,
    format('{} pictures of faces are in both under different names', count(DISTINCT a.pixels)) AS message,
    count(DISTINCT a.pixels) AS count,
    list(DISTINCT a.sample_id || ' = ' || b.sample_id ORDER BY a.sample_id || ' = ' || b.sample_id)[:10] AS examples
FROM members a JOIN members b ON a.pixels = b.pixels AND a.place < b.place AND a.sample_id <> b.sample_id
GROUP BY ALL;
