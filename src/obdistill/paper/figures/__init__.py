"""Figures: drawn from the csv files of `obdistill.paper.figure_data`, without statistics."""
