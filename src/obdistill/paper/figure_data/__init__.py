"""What figures are drawn from: statistics as csv, without matplotlib."""
