"""What figures are drawn from: statistics as csv, without matplotlib."""

KIND = "figure data"  # of the artifact: a csv, and in its sidecar the facts and counts of the figure's caption
