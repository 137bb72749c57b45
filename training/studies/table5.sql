-- Table 5: detectors by degradation, the least first, with the paper's rank. Those whose degradation is not known have no rank.
SELECT
    detectors.detector, training_set, CASE WHEN s.value IS NOT NULL THEN rank() OVER (ORDER BY s.value NULLS LAST) END AS rank,
    p.value::INTEGER AS paper_rank
FROM detectors
LEFT JOIN summary s ON s.detector = detectors.detector AND s.figure = 'degradation'
LEFT JOIN published p ON p.detector = detectors.detector AND p.figure = 'rank'
ORDER BY rank NULLS LAST, detectors.detector
