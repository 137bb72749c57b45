-- The published figures, one row each, of the CSV that a study names (`published_wide`: detector, and a column a figure).
-- paper1.csv: How Generalizable are Deepfake Image Detectors? An Empirical Study (Li, Sun, Poskitt, Wang), tables 4 to 7,
-- as they stand in the paper, in percent and points. `family_average` stands with the first detector of its family, as there.
SELECT detector, figure, value
FROM (UNPIVOT published_wide ON COLUMNS(* EXCLUDE detector) INTO NAME figure VALUE value)
