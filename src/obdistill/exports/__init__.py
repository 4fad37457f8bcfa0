"""What is taken home: synsets and policies in the forms of other programs, with cards."""
