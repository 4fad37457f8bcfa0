"""Tables: from the gathered returns to csv, Markdown, HTML and LaTeX."""
