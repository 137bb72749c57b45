-- Faces cut in two ways: what a detector learned on the one it is not shown on the other.
SELECT
    a.side AS a, b.side AS b, 'warning' AS severity,
    format('faces were cut with recipe {} there and {} here', a.recipe, b.recipe) AS message, 1 AS count,
    []::VARCHAR[] AS examples
FROM sides a JOIN sides b ON a.place < b.place AND a.recipe_hash <> b.recipe_hash;
