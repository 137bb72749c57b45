"""What a trained detector looks at (Grad-CAM, heatmaps.py) and which of its neurons decide (neurons.py).

Functions take loaded detectors and opened splits and give arrays and Arrow tables; figures.py draws those. Research
questions 3 and 4 of Li et al., How generalizable are deepfake image detectors?, for any detector.
"""
