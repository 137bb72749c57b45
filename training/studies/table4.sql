-- Table 4: the detectors, what they were trained on, and their original accuracy; families by their average, best first
WITH families AS (
    SELECT family, max(value) AS family_average FROM summary JOIN detectors USING (detector)
    WHERE figure = 'family_average' GROUP BY family
)
SELECT detector, family, number, training_set, mode
FROM detectors LEFT JOIN families USING (family)
ORDER BY family_average DESC NULLS LAST, family, number
