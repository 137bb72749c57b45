-- Locate and Verify trained on FF++: YouTube and actors' originals and four methods
-- paper: the thesis on UCF, SBI, Locate and Verify and SPSL, section 4.3
-- table: 4.12
-- reports: accuracy of 0.2539 on the YouTube originals, 0.7674 to 0.9490 on the others
-- DFD's fakes are not among the sets, its originals ("actors") are.
-- Sets of FF++ are those that `scan faceforensics` and `scan dfd` give; the others are named as in `scan folder private/NAME`.
-- uses: training_sides = sets_train.sql
-- param sets: 'dfd/original,ffpp/original,ffpp/Deepfakes,ffpp/Face2Face,ffpp/FaceSwap,ffpp/NeuralTextures'  (with commas between)

SELECT sample_id FROM training_sides
