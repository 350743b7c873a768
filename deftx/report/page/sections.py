"""Subjects of the report, in reading order: each has a caption (captions/*.rst), and a table or figure or both."""

SUBJECTS = {
    "scores": "Scores",
    "comparisons": "Differences",
    "seeds": "Seeds",
    "gains": "Gains",
    "published": "Beside published scores",
    "sweeps": "Knobs",
    "spectra": "Spectra",
    "density": "Masks",
    "overlap": "Overlap of vectors",
    "costs": "Costs",
    "training": "Trainings",
    "stages": "Run times and memory",
}
"""Headings by subject."""
