-- UCF and SPSL trained on FF++: the YouTube originals and four methods
-- paper: the thesis on UCF, SBI, Locate and Verify and SPSL, section 3.3 and 3.6
-- table: 4.6 and 4.13
-- reports: accuracy of 0.88 to 0.96 on the five sets for UCF, AUC of 0.6911 on CelebDF
-- FaceShifter is not among the sets.
-- Sets of FF++ are those that `scan faceforensics` and `scan dfd` give; the others are named as in `scan folder private/NAME`.
-- uses: training_sides = sets_train.sql
-- param sets: 'ffpp/original,ffpp/Deepfakes,ffpp/Face2Face,ffpp/FaceSwap,ffpp/NeuralTextures'  (with commas between)

SELECT sample_id FROM training_sides
