-- Every figure of the tables from accuracies alone, measured, resampled or published: one row for each detector, seed, draw
-- and figure, in percent and points. Draw 0 is what was measured, the others are of the bootstrap.
-- paper: How Generalizable are Deepfake Image Detectors? An Empirical Study (Li, Sun, Poskitt, Wang), sections 3.3, 4.1, 4.2
--   average                   mean over the unseen sets (FS, NT, DF, DFD)
--   degradation               original accuracy - average
--   specialised               accuracy on CELEB-M, or the mean of FS-I and NT-I
--   specialised_degradation   original accuracy - specialised
--   difference                degradation - specialised_degradation
--   family_average            mean original accuracy of all detectors of an architecture
-- A mean is null unless all of its parts are there.
WITH parts AS (
    SELECT training_set, count(*) FILTER (role = 'unseen') AS unseen, count(*) FILTER (role = 'specialised') AS specialised
    FROM tests GROUP BY training_set
), means AS (
    SELECT
        detector, any_value(family) AS family, seed, draw,
        max(accuracy) FILTER (role = 'original') AS original,
        CASE WHEN count(*) FILTER (role = 'unseen') = any_value(unseen) THEN avg(accuracy) FILTER (role = 'unseen') END AS average,
        CASE WHEN count(*) FILTER (role = 'specialised') = any_value(specialised)
             THEN avg(accuracy) FILTER (role = 'specialised') END AS specialised
    FROM accuracies JOIN planned USING (detector, seed) JOIN tests USING (training_set, test) JOIN parts USING (training_set)
    GROUP BY detector, seed, draw
), families AS (
    SELECT family, seed, draw, CASE WHEN count(original) = any_value(members) THEN avg(original) END AS family_average
    FROM means JOIN (SELECT family, count(DISTINCT detector) AS members FROM planned GROUP BY family) USING (family)
    GROUP BY family, seed, draw
), derived AS (
    SELECT
        detector, seed, draw, average, original - average AS degradation, specialised,
        original - specialised AS specialised_degradation, specialised - average AS difference, family_average
    FROM means JOIN families USING (family, seed, draw)
)
SELECT detector, seed, draw, test AS figure, accuracy AS value FROM accuracies
UNION ALL
SELECT detector, seed, draw, figure, value
FROM (UNPIVOT derived ON average, degradation, specialised, specialised_degradation, difference, family_average
      INTO NAME figure VALUE value)
