"""Sections of the report, in reading order: each has a caption (captions/*.rst), and a table or a figure or both."""

SECTIONS = {
    "scores": "Scores",
    "comparisons": "Differences",
    "seeds": "Seeds",
    "gains": "Gains",
    "published": "Comparison with published scores",
    "sweeps": "Hyper-parameters",
    "spectra": "Spectra",
    "density": "Masks",
    "overlap": "Overlap of vectors",
    "costs": "Costs",
    "training": "Trainings",
    "stages": "Run times and memory",
}
"""Headings by section."""
