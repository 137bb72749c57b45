-- Tables 6 and 7: detectors of one training set whose degradation is over so many points (30 in the paper), by how much less
-- they lose on the specialised sets, the most first, with the paper's rank. `chosen` is false for detectors that the paper
-- has in its table and whose degradation is not over that here.
SELECT
    detectors.detector, s.value > getvariable('over') AS chosen,
    CASE WHEN s.value > getvariable('over')
         THEN rank() OVER (PARTITION BY s.value > getvariable('over') ORDER BY d.value DESC NULLS LAST) END AS rank,
    p.value::INTEGER AS paper_rank, s.value AS degradation
FROM detectors
JOIN summary s ON s.detector = detectors.detector AND s.figure = 'degradation'
LEFT JOIN summary d ON d.detector = detectors.detector AND d.figure = 'difference'
LEFT JOIN published p ON p.detector = detectors.detector AND p.figure = 'specialised_rank'
WHERE training_set = getvariable('training_set') AND (s.value > getvariable('over') OR p.value IS NOT NULL)
ORDER BY chosen DESC, rank, detectors.detector
