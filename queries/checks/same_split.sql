-- Two names for the same faces, such as a validation set that is the test set: the checkpoint is then chosen on the test.
SELECT
    a.side AS a, b.side AS b, 'error' AS severity,
    'both hold the same faces: a checkpoint chosen on the one is chosen on the other' AS message,
    a.faces AS count, []::VARCHAR[] AS examples
FROM sides a JOIN sides b ON a.hash = b.hash AND a.place < b.place;
